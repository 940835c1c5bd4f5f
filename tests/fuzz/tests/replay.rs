//! Runs every corpus file through its target, so that `cargo test` keeps what fuzzing found.

use std::fs;
use std::path::Path;

use fuzz::TARGETS;

#[test]
fn every_corpus_file_passes_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let listed = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut taken = 0;
        for file in listed {
            let path = file.expect("a folder can be listed").path();
            println!("{}", path.display());
            let bytes = fs::read(&path).expect("a corpus file can be read");
            taken += usize::from(target(&bytes));
            // Neighbours of real bytes, as the fuzzer would try first.
            for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                target(&changed);
                target(&bytes[..at]);
            }
        }
        assert!(taken >= 3, "{name}: its decoder took only {taken} files of the corpus");
    }
}
