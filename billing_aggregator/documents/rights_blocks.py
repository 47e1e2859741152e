"""The blocks about rights and evidence: time limits, inspection, the chain of evidence and what pins this revision."""

from billing_aggregator.documents.blocks import AnyBlock, Hashes, Terms
from billing_aggregator.documents.content import StatementContent
from billing_aggregator.documents.texts import Words


def word_rights(content: StatementContent, words: Words) -> tuple[AnyBlock, ...]:
    """Objections, inspection, the time for claims (§ 556 (3) and (4) BGB). A provisional state and the owner's own
    part open no time limits, so nothing is said of them there."""
    if content.tenancy.is_vacancy or content.provisional_as_of:
        return ()
    limits = content.deadlines
    objections = words("rights.objections_text")
    if limits.received_on and limits.objections_until:
        objections = words(
            "rights.objections_until",
            received=words.day(limits.received_on),
            until=words.day(limits.objections_until),
        )
    if content.correction:
        objections = f"{objections} {words('rights.objections_revised')}"
    late = limits.received_on is not None and limits.received_on > limits.claim_until
    until = words.day(limits.claim_until)
    items = [
        (words("rights.objections"), objections),
        (words("rights.inspection"), words("rights.inspection_text")),
        (words("rights.claim"), words(f"rights.claim_{'late' if late else 'text'}", until=until)),
    ]
    if translation := words("rights.translation"):
        items.append((words("rights.language"), translation))
    return (Terms(title=words("rights.title"), items=tuple(items)),)


def word_evidence(content: StatementContent, words: Words) -> tuple[AnyBlock, ...]:
    """What proves the pours, how to check it, and the checksums that pin the revision."""
    evidence = content.evidence
    proof = Terms(
        title=words("evidence.title"),
        items=(
            (words("evidence.chain"), words("evidence.chain_text")),
            (words("evidence.check"), words("evidence.check_text")),
        ),
    )
    hashes = Hashes(
        items=(
            (words("evidence.revision", revision=content.revision), evidence.revision_sha256),
            (
                words("evidence.entries", position=words.number(evidence.position)),
                evidence.entries_sha256,
            ),
            (words("evidence.masterdata"), evidence.masterdata_sha256),
            (words("evidence.engine"), evidence.engine),
        )
    )
    return proof, hashes
