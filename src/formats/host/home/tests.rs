//! Tests of what homes show.

use proptest::prelude::*;

use super::*;

const CRATES: &str = r#"
[v1]
"cargo-edit 0.12.2 (registry+https://github.com/rust-lang/crates.io-index)" = ["cargo-add", "cargo-rm"]
"mine 0.1.0 (path+file:///home/kim/s3cret)" = ["mine"]
"#;
const PIPX: &str = r#"{
    "injected_packages": {"click": {"package": "click", "package_version": "8.1.7"}},
    "main_package": {"package": "black", "package_or_url": "git+https://kim:s3cret@host/black", "package_version": "23.1.0"},
    "python_version": "Python 3.11.2", "venv_args": ["--s3cret"], "pipx_metadata_version": "0.2"
}"#;
const NPM: &str =
    r#"{"name": "typescript", "version": "5.4.2", "author": "kim@s3cret.example", "scripts": {"a": "s3cret"}}"#;
const ZERO_G: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<registry install_date="2009-03-03 16:15:08" version="1.1" last_modified="2009-03-03 16:15:08">
  <products>
    <product name="Acme Statistics" id="0a" upgrade_id="0b" version="17.0.0.0" copyright="2009" location="/home/kim/s3cret">
      <![CDATA[ ]]>
      <vendor name="Acme, Inc." id="0c" home_page="" email="s3cret"/>
      <feature short_name="Application" name="Application"><product name="inner" version="1"/></feature>
    </product>
    <product name="Acme Plot" version="2.0"/>
  </products>
  <components><component id="0d" version="1.0.0.0" name="Common" location="/home/kim/s3cret"/></components>
</registry>"#;
const BEA: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<bea-product-information>
  <host home="/home/kim/bea" name="s3cret">
    <product format="1.0" name="WebLogic Platform">
      <release level="10.3" ServicePackLevel="6" PatchLevel="0" Status="installed" InstallDir="/home/kim/s3cret">
        <component name="WebLogic Server" version="10.3.6.0"><component name="Server"/></component>
      </release>
      <release level="9.2" Status="installed"/>
    </product>
    <java-installation Name="jdk" JavaVersion="1.6.0" JavaHome="/home/kim/s3cret"/>
  </host>
</bea-product-information>"#;

/// Names, versions and publishers that one file shows.
fn read(technology: Technology, path: &str, text: &str) -> Vec<[String; 3]> {
    let (titles, _) = titles(technology, "kim", &[Found { path, bytes: text.as_bytes() }]);
    titles.into_iter().map(|title| [title.name, title.version, title.publisher]).collect()
}

#[test]
fn every_technology_gives_its_titles_and_nothing_else_of_its_file() {
    for (technology, path, text, expected) in [
        (Technology::Cargo, ".cargo/.crates.toml", CRATES, &[["cargo-edit", "0.12.2", ""], ["mine", "0.1.0", ""]][..]),
        (Technology::Pipx, ".local/share/pipx/venvs/black/pipx_metadata.json", PIPX, &[["black", "23.1.0", ""]]),
        (Technology::Pipx, ".local/pipx/venvs/black/pipx_metadata.json", PIPX, &[["black", "23.1.0", ""]]),
        (
            Technology::NpmGlobal,
            ".npm-global/lib/node_modules/typescript/package.json",
            NPM,
            &[["typescript", "5.4.2", ""]],
        ),
        (Technology::Sdkman, ".sdkman/candidates/java/21.0.2-tem", "", &[["java", "21.0.2-tem", ""]]),
        (
            Technology::InstallAnywhere,
            ".com.zerog.registry.xml",
            ZERO_G,
            &[["Acme Plot", "2.0", ""], ["Acme Statistics", "17.0.0.0", "Acme, Inc."]],
        ),
        (
            Technology::Bea,
            "bea/registry.xml",
            BEA,
            &[["WebLogic Platform", "9.2", ""], ["WebLogic Server", "10.3.6.0", ""]],
        ),
    ] {
        let (titles, findings) = titles(technology, "kim", &[Found { path, bytes: text.as_bytes() }]);
        assert!(findings.is_empty(), "{technology}: {findings:?}");
        assert!(!format!("{titles:?}").contains("s3cret"), "{technology}");
        assert!(titles.iter().all(|title| title.evidence == technology.as_str() && title.user_name == "kim"));
        assert_eq!(read(technology, path, text), expected.iter().map(|row| row.map(String::from)).collect::<Vec<_>>());
    }
}

#[test]
fn a_technology_is_known_by_its_name_only() {
    for technology in Technology::ALL {
        assert_eq!(technology.to_string().parse(), Ok(technology));
        assert_eq!(technology.as_str().to_uppercase().parse(), Ok(technology));
        assert!(!wanted(technology).is_empty());
    }
    assert_eq!("steam".parse::<Technology>(), Err(UnknownTechnology));
}

#[test]
fn only_a_place_that_is_wanted_is_read() {
    for (technology, path) in [
        (Technology::Cargo, "src/.cargo/.crates.toml"),
        (Technology::Cargo, ".cargo/x/.crates.toml"),
        (Technology::Cargo, ".cargo/.crates2.json"),
        (Technology::Cargo, ".cargox.crates.toml"),
        (Technology::Pipx, ".local/share/pipx/venvs/pipx_metadata.json"),
        (Technology::Pipx, ".local/share/pipx/venvs/../pipx_metadata.json"),
        (Technology::NpmGlobal, ".npm-global/lib/node_modules/a/b/c/package.json"),
        (Technology::NpmGlobal, ".npm-global/lib/node_modules//package.json"),
        (Technology::Sdkman, ".sdkman/candidates/java"),
        (Technology::InstallAnywhere, "x/.com.zerog.registry.xml"),
        (Technology::Bea, "registry.xml"),
    ] {
        assert!(!wanted(technology).iter().any(|wanted| wanted.takes(path)), "{path}");
        for text in [CRATES, PIPX, NPM, ZERO_G, BEA] {
            assert_eq!(read(technology, path, text), [[""; 3]; 0], "{path}");
        }
    }
    assert!(wanted(Technology::InstallAnywhere)[0].takes(".com.zerog.registry.xml"));
}

#[test]
fn a_scoped_package_is_a_title_and_a_folder_inside_of_a_package_is_none() {
    let scoped = r#"{"name": "@acme/cli", "version": "1.0.0"}"#;
    let at = |folders: &str| format!(".npm-global/lib/node_modules/{folders}/package.json");
    assert_eq!(read(Technology::NpmGlobal, &at("@acme/cli"), scoped), [["@acme/cli", "1.0.0", ""]]);
    assert_eq!(read(Technology::NpmGlobal, &at("typescript/lib"), NPM), [[""; 3]; 0]);
}

#[test]
fn the_link_to_the_current_candidate_is_no_version() {
    assert_eq!(read(Technology::Sdkman, ".sdkman/candidates/java/current", ""), [[""; 3]; 0]);
}

#[test]
fn a_file_of_another_form_is_a_finding_and_the_others_stay() {
    for (technology, bad, path) in [
        (Technology::Cargo, "v1 = 3", ".cargo/.crates.toml"),
        (Technology::Pipx, "{}", ".local/pipx/venvs/a/pipx_metadata.json"),
        (Technology::Pipx, r#"{"main_package": {"package": null}}"#, ".local/pipx/venvs/a/pipx_metadata.json"),
        (Technology::NpmGlobal, "[]", ".npm-global/lib/node_modules/a/package.json"),
        (Technology::InstallAnywhere, "<registry>", ".com.zerog.registry.xml"),
        (Technology::InstallAnywhere, "<other/>", ".com.zerog.registry.xml"),
        (Technology::Bea, "<other/>", "bea/registry.xml"),
    ] {
        let (titles, findings) = titles(technology, "kim", &[Found { path, bytes: bad.as_bytes() }]);
        assert_eq!((titles.len(), findings.kept().len()), (0, 1), "{technology} {bad}");
        assert_eq!(findings.kept()[0].to_string(), "not of the form that is read at 1");
    }
    let found = [
        Found { path: ".local/pipx/venvs/a/pipx_metadata.json", bytes: b"{" },
        Found { path: ".local/pipx/venvs/black/pipx_metadata.json", bytes: PIPX.as_bytes() },
    ];
    let (titles, findings) = titles(Technology::Pipx, "kim", &found);
    assert_eq!((titles.len(), findings.kept().len()), (1, 1));
}

#[test]
fn names_are_plain_and_values_are_cut() {
    let path = ".npm-global/lib/node_modules/a/package.json";
    let package = |name: &str, version: &str| serde_json::json!({"name": name, "version": version}).to_string();
    let found = |text: &str| titles(Technology::NpmGlobal, "kim", &[Found { path, bytes: text.as_bytes() }]);
    for name in ["", "  ", "a\u{7}b"] {
        let (titles, findings) = found(&package(name, "1"));
        assert_eq!((titles.len(), findings.kept().len()), (0, 1), "{name:?}");
    }
    let (titles, _) = found(&package(&"é".repeat(257), &"é".repeat(73)));
    assert_eq!((titles[0].name.chars().count(), titles[0].version.chars().count()), (256, 72));
}

#[test]
fn files_their_bytes_and_titles_are_bounded() {
    let paths: Vec<String> = (0..=FILES_MAX).map(|n| format!(".sdkman/candidates/java/{n:05}")).collect();
    let found: Vec<Found> = paths.iter().map(|path| Found { path, bytes: b"" }).collect();
    let (all, findings) = titles(Technology::Sdkman, "kim", &found[..FILES_MAX]);
    assert_eq!((all.len(), findings.is_empty()), (FILES_MAX, true));
    let (first, findings) = titles(Technology::Sdkman, "kim", &found);
    assert_eq!((first, findings.kept()[0].problem), (all, "more files than are read"));

    let padded = |bytes: usize| format!("{CRATES}#{}", "x".repeat(bytes - CRATES.len() - 1));
    assert_eq!(read(Technology::Cargo, ".cargo/.crates.toml", &padded(FILE_BYTES_MAX)).len(), 2);
    assert_eq!(read(Technology::Cargo, ".cargo/.crates.toml", &padded(FILE_BYTES_MAX + 1)).len(), 0);

    let crates = |count: usize| -> String {
        "[v1]\n".to_owned() + &(0..count).map(|n| format!("\"c{n} 1 (x)\" = []\n")).collect::<String>()
    };
    assert_eq!(read(Technology::Cargo, ".cargo/.crates.toml", &crates(TITLES_MAX + 1)).len(), TITLES_MAX);
}

proptest! {
    #[test]
    fn the_order_in_which_files_are_found_does_not_show(order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle()) {
        let paths: Vec<String> = (0..6).map(|n| format!(".sdkman/candidates/c{}/{n}", n % 3)).collect();
        let found = |order: &[usize]| {
            let found: Vec<Found> = order.iter().map(|&n| Found { path: &paths[n], bytes: b"" }).collect();
            titles(Technology::Sdkman, "kim", &found).0
        };
        prop_assert_eq!(found(&order), found(&[0, 1, 2, 3, 4, 5]));
    }

    #[test]
    fn any_bytes_at_any_place_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        path in "(\\.|/|a|@|é|\\.sdkman/candidates|bea|registry.xml|package.json|\\.npm-global/lib/node_modules){0,8}",
        cut in 0usize..600,
    ) {
        for technology in Technology::ALL {
            titles(technology, "kim", &[Found { path: &path, bytes: &bytes }]);
            for text in [CRATES, PIPX, NPM, ZERO_G, BEA] {
                for place in [&path[..], ".cargo/.crates.toml", "bea/registry.xml", ".com.zerog.registry.xml"] {
                    titles(technology, "kim", &[Found { path: place, bytes: &text.as_bytes()[..cut.min(text.len())] }]);
                }
            }
        }
    }
}
