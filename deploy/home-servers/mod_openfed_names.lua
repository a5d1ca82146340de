-- For Prosody as home server: answers with an error what a user writes to an address of which
-- Prosody (RFC 3920) would make another one, ß into ss and the like. Without it, what is written to
-- straße@example.com goes to strasse@example.com, and openfed cannot see that.
--
-- Copy it into a directory of plugin_paths and add "openfed_names" to modules_enabled.

local filters = require "util.filters";
local jid_split = require "util.jid".split;
local prep = require "util.encodings".stringprep;
local st = require "util.stanza";

module:set_global();

-- Of these Prosody makes another letter, though they are no variants of it.
local distinct = { ["\u{3C2}"] = true; ["\u{345}"] = true };
-- Of this RFC 7622 makes two, too.
local same = { ["\u{130}"] = true };

-- Whether the character becomes itself, its small letter, or its usual width.
local function stays(char)
	if #char == 1 or same[char] then return true; end
	local code = utf8.codepoint(char);
	if code >= 0xFF01 and code <= 0xFFEF then return true; end
	local folded = prep.nodeprep(char);
	if not folded then return true; end -- Prosody refuses it, or the address as a whole decides.
	return prep.resourceprep(char) == char and utf8.len(folded) == 1
		and (folded == char or not distinct[char]);
end

local function all_stay(text)
	if not text or not text:find("[\128-\255]") or not utf8.len(text) then return true; end
	for char in text:gmatch(utf8.charpattern) do
		if not stays(char) then return false; end
	end
	return true;
end

local function check(stanza, session)
	local to = stanza.attr and stanza.attr.to;
	if not to or not session.full_jid or stanza.attr.xmlns then return stanza; end
	local node, host = jid_split(to);
	if all_stay(node) and all_stay(host) then return stanza; end
	if stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		session.send(st.error_reply(stanza, "modify", "jid-malformed",
			"This server would make another address of it."));
	end
	return nil;
end

local function watch(session)
	if session.type and session.type:sub(1, 3) == "c2s" then
		filters.add_filter(session, "stanzas/in", check, -1);
	end
end

function module.load()
	filters.add_filter_hook(watch);
end

function module.unload()
	filters.remove_filter_hook(watch);
end
