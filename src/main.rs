//! Arguments in, exit code out: everything else is `chenlian::cli`.

fn main() -> std::process::ExitCode {
    chenlian::cli::main()
}
