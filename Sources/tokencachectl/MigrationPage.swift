import Migration

/// What `migrate` shows: a line a step, on a terminal one that is written over, and at the end what is to be done.
struct MigrationPage {
    let asJSON: Bool

    func show(_ notice: Migration.Notice) {
        switch notice {
        case .done(let step, let text):
            clearProgress()
            // With JSON standard output is one object.
            let line = "\(Layout.padded(step, to: 9)) \(Layout.printable(text))"
            if asJSON { Terminal.complain(line) } else { try? Terminal.print(line) }
        case .moved(let report):
            clearProgress()
            if !asJSON { try? Terminal.print(moved(report)) }
        case .progress(let text) where Terminal.isErrorATerminal: Terminal.ask("\r\u{1b}[K\(text) …")
        case .progress: break
        }
    }

    func clearProgress() {
        if Terminal.isErrorATerminal { Terminal.ask("\r\u{1b}[K") }
    }

    /// What to say when it ended before its end: the cause, what holds now, and how to go on.
    func failure(_ fault: MigrationFault, at stage: Migration.Stage, _ report: MigrationReport) -> Failure {
        let standing =
            switch stage {
            case .looking: "nothing was changed"
            case .copying: "the daemons go on at the source; the target has a part: --resume goes on"
            case .fenced:
                "THE DAEMONS CANNOT WRITE AT THE SOURCE: --resume goes on"
                    + (report.undoing.isEmpty ? "" : ", or to go back: \(report.undoing)")
            case .moved: "all is at the target"
            }
        let status: ExitStatus =
            switch fault {
            case .interrupted: .notAccepted
            case .server: .noAnswer
            case .refused: .other
            }
        return Failure(status: status, message: Layout.printable("\(fault.message); \(standing)"))
    }

    func show(_ report: MigrationReport, isDryRun: Bool) throws {
        if asJSON {
            let keys = report.keys.map { ($0.kind, JSONText.integer($0.count)) }
            return try Terminal.print(
                JSONText.object([
                    ("status", .string(isDryRun ? "counted" : "moved")), ("source", .string(report.source)),
                    ("target", .string(report.target)), ("keys", .object(keys)), ("digest", .string(report.digest)),
                    ("fenced_ms", .integer(Int64(report.fenced / .milliseconds(1)))),
                    ("outage_ms", report.outage.map { .integer(Int64($0 / .milliseconds(1))) } ?? .null),
                    ("fenced_user", report.fencedUser.map { .string($0) } ?? .null),
                    ("fenced_servers", .array(report.fencedServers.map { .string($0) })),
                    ("fence_kept", .array(report.keptServers.map { .string($0) })),
                    ("undo", .array(report.undo.map { .string($0) })),
                    ("unmark", .array(report.unmark.map { .string($0) })),
                    ("daemons", .array(report.daemons.map { .string($0) })),
                ]).text)
        }
        if isDryRun { try Terminal.print("would go  \(counts(report))") }
    }

    private func counts(_ report: MigrationReport) -> String {
        report.keys.map { "\($0.kind) \($0.count)" }.joined(separator: ", ")
    }

    private func moved(_ report: MigrationReport) -> String {
        let lines = ["keys      \(counts(report))", "digest    \(report.digest), of both"] + next(report)
        return lines.joined(separator: "\n")
    }

    /// What is left to the operator.
    private func next(_ report: MigrationReport) -> [String] {
        let tenths = Int(report.fenced / .milliseconds(100))
        let daemons = report.daemons.isEmpty ? "" : " (\(report.daemons.joined(separator: ", ")))"
        let since =
            report.fencedUser == nil ? "" : "Nothing could be written for \(tenths / 10).\(tenths % 10) s by now. "
        var lines = [
            "",
            since
                + "The daemons answer UNAVAILABLE until they are restarted. Now, for each\(Layout.printable(daemons)):",
            "  1. redis.url: \(Layout.printable(report.target)), with its password and certificates, in its configuration",
        ]
        if let ring = report.keyRingFile {
            lines.append("     keyring.file: \(Layout.printable(ring)), which it used by itself before")
        }
        lines += [
            "  2. systemctl restart tokencached.service (a reload does not change redis.url)",
            "  3. tokencachectl doctor",
        ]
        let marked = report.unmark.isEmpty ? "" : "; its mark says where the data went, and no daemon serves from it"
        let rights = report.fencedUser.map { ", and \($0) has no rights there" } ?? ""
        lines.append("The source keeps its data\(Layout.printable(rights))\(marked).")
        for (number, step) in report.undoSteps.enumerated() {
            let time = number == 0 ? "To go back, before anybody has written at the target" : "and then"
            lines.append(Layout.printable("\(time)\(step.place.isEmpty ? "" : ", \(step.place)"):"))
            lines += step.lines.map { "  \(Layout.printable($0))" }
        }
        return lines
    }
}
