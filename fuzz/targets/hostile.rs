//! One program for all targets of `rosterd::hostile`: `ROSTERD_TARGET` names the one that gets the bytes. Without it the program lists
//! them, a line each: the name and the files of its corpus. See `fuzz/run`.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use rosterd::hostile::{TARGETS, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

fn choose() {
    let Some(wanted) = std::env::var_os("ROSTERD_TARGET") else {
        for target in TARGETS {
            let files = target.corpus_files();
            println!("{} {}", target.name, files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>().join(" "));
        }
        std::process::exit(0)
    };
    match TARGETS.iter().find(|target| wanted == target.name) {
        Some(target) => _ = TARGET.set(target),
        None => {
            eprintln!("no target is called {wanted:?}: without ROSTERD_TARGET this program lists them");
            std::process::exit(2)
        }
    }
}

fuzz_target!(init: choose(), |data: &[u8]| (TARGET.get().expect("chosen at the start").run)(data));
