//! `scripts/instructions` on programs that count what a file says: what moved, and the exit code.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::{root, stand_in};
use crate::harness::Process;

/// A benchmark of two paths: 10 steps of each, and bounds of 3 % and 0.5 %.
const HOT: &str = "printf 'lookup\\t10\\t3\\nplan a publish\\t10\\t0.5\\n'";
const CARGO: &str = "cp programs/hot target/release/examples/hot";
const RUSTC: &str = "echo rustc 1.0.0";
/// It counts what the file of the path's name says.
const VALGRIND: &str = "[ \"$1\" != --version ] || exec echo valgrind-3.0.0
echo \"==1== Collected : $(cat \"counts/${!#}\")\" >&2";

/// A tree with the script, its table, and programs in the place of real ones.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().expect("a directory"));
        for folder in ["scripts", "benches", "programs", "counts", "target/release/examples"] {
            fs::create_dir_all(tree.0.path().join(folder)).expect("it is made");
        }
        let script = root().join("scripts/instructions");
        fs::copy(script, tree.0.path().join("scripts/instructions")).expect("it is copied");
        let programs = [("hot", HOT), ("cargo", CARGO), ("rustc", RUSTC), ("valgrind", VALGRIND)];
        programs.iter().for_each(|(name, text)| tree.program(name, text));
        tree.count("lookup", 10_000);
        tree.count("plan a publish", 2000);
        tree
    }

    fn program(&self, name: &str, text: &str) {
        stand_in(&self.0.path().join("programs"), name, text);
    }

    /// Makes the steps of a path take so many instructions together.
    fn count(&self, name: &str, instructions: u32) {
        let path = self.0.path().join("counts").join(name);
        fs::write(path, instructions.to_string()).expect("it is written");
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let path = std::env::var("PATH").expect("it is set");
        let path = format!("{}:{path}", self.0.path().join("programs").display());
        let mut command = Command::new(self.0.path().join("scripts/instructions"));
        let ended =
            Process::run(command.args(arguments).env("PATH", path).env_remove("CARGO_TARGET_DIR"));
        (ended.code, ended.output + &ended.errors)
    }

    fn table(&self) -> String {
        fs::read_to_string(self.0.path().join("benches/instructions.tsv")).expect("it is there")
    }
}

#[test]
fn a_count_that_moved_by_more_than_its_bound_is_named_and_fails() {
    let tree = Tree::new();
    assert_eq!(tree.run(&["--update"]), (Some(0), String::new()));
    assert!(tree.table().ends_with("\nlookup\t1000\nplan a publish\t200\n"), "{}", tree.table());
    for instructions in [9_700, 10_000, 10_300] {
        tree.count("lookup", instructions);
        assert_eq!(tree.run(&[]), (Some(0), String::new()), "{instructions}");
    }
    for (instructions, line) in [
        (10_310, "lookup                    1000 ->      1031  +3.1 %\n"),
        (9_690, "lookup                    1000 ->       969  -3.1 %\n"),
    ] {
        tree.count("lookup", instructions);
        assert_eq!(tree.run(&[]), (Some(1), line.to_owned()), "{instructions}");
        assert_eq!(tree.run(&["plan a publish"]), (Some(0), String::new()), "the other one");
    }
    tree.count("plan a publish", 2010);
    assert_eq!(tree.run(&["plan a publish"]), (Some(0), String::new()));
    tree.count("plan a publish", 2020);
    let line = "plan a publish             200 ->       202  +1.0 %\n";
    assert_eq!(tree.run(&["plan a publish"]), (Some(1), line.to_owned()));
}

#[test]
fn new_and_lost_paths_and_another_toolchain_are_named() {
    let tree = Tree::new();
    tree.run(&["--update"]);
    tree.program("rustc", "echo rustc 2.0.0");
    let (code, output) = tree.run(&[]);
    assert_eq!(code, Some(0), "nothing moved");
    assert!(output.starts_with("the table is of rustc 1.0.0, valgrind-3.0.0, "), "{output}");
    assert!(output.contains("; here is rustc 2.0.0, "), "{output}");
    tree.program("rustc", RUSTC);
    tree.program("hot", "printf 'lookup\\t10\\t3\\nother\\t10\\t3\\n'");
    tree.count("other", 70);
    let lines = "other                     none ->         7  new\n\
                 plan a publish             200 ->      none  gone\n";
    assert_eq!(tree.run(&[]), (Some(1), lines.to_owned()));
}

#[test]
fn what_cannot_be_counted_is_no_count() {
    let tree = Tree::new();
    tree.run(&["--update"]);
    let table = tree.table();
    tree.count("lookup", 0);
    for arguments in [&[][..], &["--update"]] {
        let (code, output) = tree.run(arguments);
        assert_eq!(code, Some(2), "{output}");
        assert!(output.contains("lookup: valgrind counted nothing"), "{output}");
    }
    assert_eq!(tree.table(), table, "the table is not half written");
    let (code, output) = tree.run(&["--update", "lookup"]);
    assert_eq!((code, output.contains("--update takes no name")), (Some(2), true), "{output}");
    let (code, output) = tree.run(&["nonsense"]);
    assert_eq!((code, output.contains("no hot path `nonsense`")), (Some(2), true), "{output}");
    tree.program("cargo", "echo 'error: nothing compiles' >&2; exit 101");
    let (code, output) = tree.run(&[]);
    assert_eq!((code, output.contains("nothing compiles")), (Some(2), true), "{output}");
}

/// The table of this tree: two lines of comment, then a name and a number in each.
#[test]
fn the_table_is_one() {
    let text = fs::read_to_string(root().join("benches/instructions.tsv")).expect("it is there");
    let (comments, rows): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
    assert_eq!(comments.len(), 2, "{comments:?}");
    assert!(comments[1].starts_with("# rustc 1."), "{comments:?}");
    assert!(rows.len() >= 10, "{rows:?}");
    for row in rows {
        let (_, count) = row.split_once('\t').expect("two columns");
        assert!(count.parse::<u64>().is_ok_and(|count| count > 0), "{row}");
    }
}
