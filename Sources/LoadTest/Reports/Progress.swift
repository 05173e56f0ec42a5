internal import Foundation

/// The line that tells what goes on, on a terminal only; a pipe or a log gets nothing.
public final class Progress {
    private let isShown: Bool
    private var text = ""
    private var expected: Double?
    /// Of a plan with several steps: which one this is, and of how many.
    private var step = 0
    private var steps = 0

    /// Shown if standard error is a terminal, unless it is not wanted.
    public init(isWanted: Bool = true) { isShown = isWanted && isatty(2) != 0 }

    /// So many steps follow.
    public func expect(steps count: Int) {
        step = 0
        steps = count
    }

    /// Something new begins.
    public func phase(_ text: String, seconds: Double? = nil, isStep: Bool = false) {
        self.text = text
        expected = seconds
        if isStep { step += 1 }
        show(text)
    }

    /// How far it is.
    public func update(_ seconds: Double, _ answered: Int, _ failed: Int) {
        guard isShown, seconds > 0 else { return }
        var line = text
        if let expected { line += String(format: "  %.0f of %.0f s", min(seconds, expected), expected) }
        line += "  \(Figures.grouped(answered)) answers, \(Figures.grouped(Int(Double(answered) / seconds)))/s"
        if failed > 0 { line += ", \(failed) failed" }
        show(line)
    }

    /// Removes the line: something else is about to be written.
    public func clear() {
        guard isShown else { return }
        FileHandle.standardError.write(Data("\r\u{1b}[K".utf8))
    }

    /// A line that stays, whether progress is shown or not.
    public func say(_ line: String) {
        clear()
        FileHandle.standardError.write(Data("tokencache-load: \(line)\n".utf8))
    }

    private func show(_ line: String) {
        guard isShown else { return }
        let counter = steps > 0 ? "[\(step)/\(steps)] " : ""
        FileHandle.standardError.write(Data("\r\u{1b}[K\(counter)\(line)".utf8))
    }
}
