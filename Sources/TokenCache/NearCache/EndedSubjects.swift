internal import EventLoop

/// Subjects all of whose sessions were ended here, until Redis has told every change before that.
///
/// Few at a time: one leaves with the next proof of life. Where there are more than it keeps, it holds for everybody.
struct EndedSubjects {
    static let most = 64

    private var subjects: [[UInt8]] = []
    private var isEverybody = false
    private var last = MonotonicInstant(nanoseconds: .min)

    var isEmpty: Bool { subjects.isEmpty }

    mutating func insert(_ subject: [UInt8], at now: MonotonicInstant) {
        last = now
        guard !subjects.contains(subject) else { return }
        if subjects.count < Self.most { subjects.append(subject) } else { isEverybody = true }
    }

    /// - Parameter provedAt: every change before it was told.
    mutating func removeAll(provedAt: MonotonicInstant) {
        guard provedAt > last else { return }
        subjects.removeAll()
        isEverybody = false
    }

    func contains(_ subject: some Sequence<UInt8>) -> Bool {
        isEverybody || subjects.contains { $0.elementsEqual(subject) }
    }
}
