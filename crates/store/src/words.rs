//! Enumerations that are stored as text.

pub(crate) use vestibule_protocol::words;

#[cfg(test)]
mod tests {
    use crate::{
        approvals::{ApprovalPhase, Decision},
        reports::ReportReason,
        standings::{SubjectKind, Word},
        verifications::{VerificationMethod, VerificationState},
        versions::Document,
    };

    #[test]
    fn every_word_reads_back_and_no_two_are_alike() {
        fn check<T: Copy + PartialEq + std::fmt::Debug>(
            all: &[T],
            text: impl Fn(T) -> &'static str,
            parse: impl Fn(&str) -> Option<T>,
        ) {
            assert!(!all.is_empty());
            for word in all {
                assert_eq!(parse(text(*word)), Some(*word));
            }
            for other in ["", "Waiting", "waiting ", "nothing"] {
                assert_eq!(parse(other), None, "{other:?}");
            }
        }
        check(
            ApprovalPhase::ALL,
            ApprovalPhase::as_str,
            ApprovalPhase::parse,
        );
        check(Decision::ALL, Decision::as_str, Decision::parse);
        check(Document::ALL, Document::as_str, Document::parse);
        check(ReportReason::ALL, ReportReason::as_str, ReportReason::parse);
        check(SubjectKind::ALL, SubjectKind::as_str, SubjectKind::parse);
        check(
            VerificationMethod::ALL,
            VerificationMethod::as_str,
            VerificationMethod::parse,
        );
        check(
            VerificationState::ALL,
            VerificationState::as_str,
            VerificationState::parse,
        );
        check(Word::ALL, Word::as_str, Word::parse);
    }
}
