//! The floors of the house as a test: a crate imports only from the floors below it (docs/ARCHITECTURE.md).
//!
//! Imports are read from cargo metadata, dev and build dependencies included: a test that needs the floor above is on
//! the wrong floor. Modules inside a crate are not looked at.

use std::path::Path;

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// A crate of the workspace and what it may know.
struct Room {
    package: &'static str,
    may_know: &'static [&'static str],
    /// Pure floors forbid `unsafe` outright and keep clocks, threads and random order out by their own clippy.toml.
    pure: bool,
    /// Whether its tests may know every crate.
    free_tests: bool,
}

const SKETCH: &str = "streamgauge-sketch";
const SHOP: &str = "streamgauge-shop";
const SABOTAGE: &str = "streamgauge-sabotage";
const ENGINE: &str = "streamgauge-engine";
const PLAN: &str = "streamgauge-plan";
const RUNTIME: &str = "streamgauge-runtime";
const SERVE: &str = "streamgauge-serve";
const TIMING: &str = "streamgauge-timing";

const HOUSE: &[Room] = &[
    Room { package: SKETCH, may_know: &[], pure: true, free_tests: false },
    Room { package: SHOP, may_know: &[], pure: true, free_tests: false },
    Room { package: SABOTAGE, may_know: &[], pure: true, free_tests: false },
    Room { package: ENGINE, may_know: &[SABOTAGE, SKETCH], pure: true, free_tests: false },
    Room { package: PLAN, may_know: &[ENGINE, SKETCH], pure: false, free_tests: false },
    Room { package: RUNTIME, may_know: &[ENGINE, SABOTAGE, SKETCH], pure: false, free_tests: false },
    Room { package: SERVE, may_know: &[ENGINE, PLAN, SKETCH], pure: false, free_tests: false },
    Room {
        package: "streamgauge",
        may_know: &[SKETCH, SHOP, SABOTAGE, ENGINE, PLAN, RUNTIME, SERVE],
        pure: false,
        free_tests: true,
    },
    Room { package: TIMING, may_know: &[], pure: false, free_tests: false },
    Room {
        package: "streamgauge-bench",
        may_know: &[SKETCH, SHOP, ENGINE, PLAN, RUNTIME, TIMING],
        pure: false,
        free_tests: false,
    },
    Room {
        package: "streamgauge-simulate",
        may_know: &[SKETCH, SABOTAGE, ENGINE, RUNTIME],
        pure: false,
        free_tests: false,
    },
    Room { package: "streamgauge-campaign", may_know: &[], pure: false, free_tests: false },
    Room { package: "xtask", may_know: &[], pure: false, free_tests: false },
];

/// Fails with one line for each wall that is broken.
pub fn check(root: &Path) -> Result<()> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let packages = metadata.workspace_packages();
    let mut broken = broken_walls(&imports(&packages));
    for package in packages {
        if room(&package.name).is_some_and(|room| room.pure) {
            broken.extend(impure(package));
        }
    }
    if !broken.is_empty() {
        bail!("the floors do not hold (docs/ARCHITECTURE.md):\n  {}", broken.join("\n  "));
    }
    Ok(())
}

/// One import between two crates of the workspace.
struct Import {
    from: String,
    /// `None` names a crate that imports nothing, so that it is not forgotten.
    to: Option<String>,
    only_tests: bool,
}

fn imports(packages: &[&Package]) -> Vec<Import> {
    let inside = |name: &str| packages.iter().any(|p| p.name.as_str() == name);
    let mut imports = Vec::new();
    for package in packages {
        let from = package.name.to_string();
        imports.push(Import { from: from.clone(), to: None, only_tests: false });
        for dependency in package.dependencies.iter().filter(|d| inside(&d.name)) {
            imports.push(Import {
                from: from.clone(),
                to: Some(dependency.name.clone()),
                only_tests: dependency.kind == DependencyKind::Development,
            });
        }
    }
    imports
}

fn broken_walls(imports: &[Import]) -> Vec<String> {
    let mut broken = Vec::new();
    for Import { from, to, only_tests } in imports {
        let Some(room) = room(from) else {
            if to.is_none() {
                broken.push(format!("{from} has no floor: give it a line in xtask/src/floors.rs"));
            }
            continue;
        };
        let Some(to) = to else { continue };
        let allowed = room.may_know.contains(&to.as_str()) || (*only_tests && room.free_tests);
        if !allowed {
            broken.push(format!(
                "{from} must not know {to}{}",
                if *only_tests { " (in its tests)" } else { "" }
            ));
        }
    }
    broken
}

/// What a pure crate lacks.
fn impure(package: &Package) -> Vec<String> {
    let home = package.manifest_path.parent().expect("a manifest lies in a directory");
    let lib = std::fs::read_to_string(home.join("src/lib.rs")).unwrap_or_default();
    let mut lacks = Vec::new();
    if !lib.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]") {
        lacks.push(format!("{}: src/lib.rs must say #![forbid(unsafe_code)]", package.name));
    }
    if !home.join("clippy.toml").is_file() {
        lacks.push(format!("{}: needs a clippy.toml against clocks, threads and random order", package.name));
    }
    lacks
}

fn room(package: &str) -> Option<&'static Room> {
    HOUSE.iter().find(|room| room.package == package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floors_hold() {
        check(&crate::root()).unwrap();
    }

    fn check_walls(from: &str, to: Option<&str>, only_tests: bool, broken: &[&str]) {
        let import = Import { from: from.into(), to: to.map(String::from), only_tests };
        assert_eq!(broken_walls(&[import]), broken);
    }

    #[test]
    fn a_broken_wall_is_named() {
        check_walls(ENGINE, Some(SKETCH), false, &[]);
        check_walls(
            SKETCH,
            Some(SHOP),
            true,
            &["streamgauge-sketch must not know streamgauge-shop (in its tests)"],
        );
        check_walls(
            ENGINE,
            Some(SHOP),
            true,
            &["streamgauge-engine must not know streamgauge-shop (in its tests)"],
        );
        check_walls(SHOP, Some(SKETCH), false, &["streamgauge-shop must not know streamgauge-sketch"]);
        check_walls(SKETCH, Some(ENGINE), false, &["streamgauge-sketch must not know streamgauge-engine"]);
        check_walls(RUNTIME, Some(PLAN), false, &["streamgauge-runtime must not know streamgauge-plan"]);
        check_walls(
            RUNTIME,
            Some(PLAN),
            true,
            &["streamgauge-runtime must not know streamgauge-plan (in its tests)"],
        );
        check_walls(
            "streamgauge-serve",
            Some(RUNTIME),
            false,
            &["streamgauge-serve must not know streamgauge-runtime"],
        );
        check_walls("xtask", Some("streamgauge-bench"), false, &["xtask must not know streamgauge-bench"]);
    }

    #[test]
    fn only_the_tests_of_the_command_line_know_everybody() {
        check_walls("streamgauge", Some("streamgauge-bench"), true, &[]);
        check_walls(
            "streamgauge",
            Some("streamgauge-bench"),
            false,
            &["streamgauge must not know streamgauge-bench"],
        );
    }

    #[test]
    fn a_crate_without_a_floor_is_noticed() {
        check_walls("cellar", None, false, &["cellar has no floor: give it a line in xtask/src/floors.rs"]);
    }

    #[test]
    fn the_imports_of_the_workspace_are_found() {
        let metadata =
            MetadataCommand::new().manifest_path(crate::root().join("Cargo.toml")).no_deps().exec().unwrap();
        let imports = imports(&metadata.workspace_packages());
        assert!(imports.iter().any(|i| i.from == ENGINE && i.to.as_deref() == Some(SKETCH)));
        for room in HOUSE {
            assert!(
                imports.iter().any(|i| i.from == room.package),
                "{} is gone from the workspace",
                room.package
            );
        }
    }
}
