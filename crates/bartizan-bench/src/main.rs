//! The command `bartizan-bench`; what it does is in the library, which `bartizan bench` calls too.

fn main() {
    std::process::exit(bartizan_bench::main("bartizan-bench", std::env::args_os().skip(1)));
}
