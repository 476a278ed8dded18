//! Finds the known word that is most similar to a mistyped one.

/// The similarity above which a candidate is suggested, as for flags.
const SIMILAR: f64 = 0.7;

/// The candidate that is most similar to `word`, by the measure that clap uses for flags; `None` when no
/// candidate is similar.
pub(super) fn nearest(word: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    let rated = candidates.into_iter().map(|candidate| {
        let similarity = strsim::jaro(word, &candidate);
        (similarity, candidate)
    });
    let similar = rated.filter(|(similarity, _)| *similarity > SIMILAR);
    let best = similar.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_candidate_is_found_and_a_strange_word_finds_none() {
        let found = |word| nearest(word, ["open", "max-circuits", "open"].map(str::to_owned));
        assert_eq!(found("opne").as_deref(), Some("open"));
        assert_eq!(found("max-circiuts").as_deref(), Some("max-circuits"));
        for strange in ["zzz", "", "x y", "=", "help", "ä"] {
            assert_eq!(found(strange), None, "{strange}");
        }
    }
}
