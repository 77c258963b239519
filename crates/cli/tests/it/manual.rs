//! Completions and manual pages.

use crate::support::Workdir;

#[test]
fn shells_learn_the_verbs_and_their_options() {
    let dir = Workdir::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = dir.call(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for word in ["streamgauge", "run", "init", "annotate"] {
            assert!(ran.out.contains(word), "{shell} knows no {word}");
        }
    }
    dir.call(&["completions", "dos"]).expect(2, &["invalid value 'dos'", "bash"]);
}

#[test]
fn every_verb_has_a_manual_page_and_examples() {
    let dir = Workdir::new();
    let page = dir.call(&["man"]).out;
    assert!(page.contains(".TH streamgauge 1") && page.contains("streamgauge\\-run(1)"), "{page}");
    assert_eq!(dir.call(&["man", "--dir", "pages/man1"]).code, Some(0));
    let help = dir.call(&["--help"]).out;
    let verbs =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs: Vec<&str> =
        verbs.filter_map(|line| line.split_whitespace().next()).filter(|v| *v != "help").collect();
    assert!(verbs.len() >= 4, "{help}");
    for verb in verbs {
        assert!(dir.read(&format!("pages/man1/streamgauge-{verb}.1")).contains(".SH OPTIONS"), "{verb}");
        let help = dir.call(&[verb, "--help"]).out;
        assert!(help.contains("Examples:") && help.contains(&format!("streamgauge {verb}")), "{help}");
    }
}
