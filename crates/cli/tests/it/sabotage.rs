//! What users have is not what campaigns are tried on.

/// Without its feature nothing of the bugs that are planted for campaigns is in the program: neither their names nor what names them.
#[test]
#[cfg(not(feature = "sabotage"))]
fn no_bug_is_planted() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_streamgauge")).expect("the program");
    // In pieces, so that this test is not what is found.
    for words in [["STREAMGAUGE", "_SABOTAGE"], ["error-", "swallowed"], ["pane-", "off-by-one"]] {
        let words = words.concat();
        let found = program.windows(words.len()).any(|window| window == words.as_bytes());
        assert!(!found, "{words} is in the program");
    }
}
