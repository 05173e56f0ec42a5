internal import EventLoop
internal import Tokens

/// Subjects all of whose sessions were ended here, or were to be, until Redis has told every change before that.
///
/// Few at a time while Redis answers: one leaves with the next proof of life. While it does not they gather; where there are
/// more than it keeps, it holds for everybody.
struct EndedSubjects {
    static let most = 4_096

    /// By subject: the session that was spared, if one was.
    private var subjects: [[UInt8]: SessionID?] = [:]
    private var isEverybody = false
    private var last = MonotonicInstant(nanoseconds: .min)

    var isEmpty: Bool { subjects.isEmpty }

    mutating func insert(_ subject: [UInt8], but spared: SessionID?, at now: MonotonicInstant) {
        last = now
        if let before = subjects[subject] {
            if before != spared { subjects[subject] = .some(nil) }
        } else if subjects.count < Self.most {
            subjects[subject] = .some(spared)
        } else {
            isEverybody = true
        }
    }

    /// - Parameter provedAt: every change before it was told.
    mutating func removeAll(provedAt: MonotonicInstant) {
        guard provedAt > last else { return }
        subjects.removeAll()
        isEverybody = false
    }

    /// Whether a session was ended as one of its subject's.
    func contains(_ subject: some Sequence<UInt8>, _ sid: SessionID) -> Bool {
        guard !isEverybody else { return true }
        guard let spared = subjects[Array(subject)] else { return false }
        return spared != sid
    }
}
