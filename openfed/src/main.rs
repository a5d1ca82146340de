//! The operator's command.

fn main() -> std::process::ExitCode {
    openfed::main()
}
