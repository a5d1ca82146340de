//! The scripts that change the store, each of them atomic.

use redis::Script;

pub(super) struct Scripts {
    pub(super) prepare: Script,
    pub(super) insert: Script,
    pub(super) configure: Script,
    pub(super) import: Script,
    pub(super) restore: Script,
    pub(super) remove: Script,
    pub(super) touch: Script,
    pub(super) claim: Script,
    pub(super) settle: Script,
    pub(super) route: Script,
    pub(super) member: Script,
    pub(super) record: Script,
    pub(super) audit: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |body| Script::new(&[include_str!("prelude.lua"), body].concat());
        Self {
            prepare: script(include_str!("prepare.lua")),
            insert: script(include_str!("insert.lua")),
            configure: script(include_str!("configure.lua")),
            import: script(include_str!("import.lua")),
            restore: script(include_str!("restore.lua")),
            remove: script(include_str!("remove.lua")),
            touch: script(include_str!("touch.lua")),
            claim: script(include_str!("claim.lua")),
            settle: script(include_str!("settle.lua")),
            route: script(include_str!("route.lua")),
            member: script(include_str!("member.lua")),
            record: script(include_str!("record.lua")),
            audit: script(include_str!("audit.lua")),
        }
    }
}
