extension Report {
    /// The report for a terminal.
    public func text() -> String {
        var text = endedNote.map { "\($0)\n\n" } ?? ""
        for table in tables { text += table.plain() }
        let isClientBound =
            comparison?.tables.contains { $0.rows.contains(where: \.speed.isClientBound) } == true
            || guests?.rows.contains(where: \.speed.isClientBound) == true
        if isClientBound {
            text += "* the client was the bottleneck: the server can do more than this\n\n"
        }
        text += facts.map { "\($0.0): \($0.1)\n" }.joined()
        return text
    }

    /// What the figures were measured on and how.
    var facts: [(String, String)] {
        var facts = [
            ("machine", "\(machine.processor), \(machine.cores) cores, \(Figures.bytes(Double(machine.memoryBytes)))"),
            ("system", "\(machine.system), \(machine.kernel)"),
        ]
        if !machine.versions.isEmpty {
            let versions = machine.versions.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            facts.append(("versions", versions.joined(separator: ", ")))
        }
        if !machine.placement.isEmpty { facts.append(("placement", machine.placement)) }
        if let guests {
            facts.append(
                (
                    "method",
                    "\(guests.rounds) rounds of \(Figures.fixed(guests.seconds, 2)) s in turn, "
                        + "\(guests.connections) connections, \(Figures.grouped(guests.sessions)) sessions and as many "
                        + "guests; medians (lowest–highest), ratios within a round"
                ))
        }
        if let comparison {
            facts.append(
                (
                    "method",
                    "\(comparison.rounds) rounds of \(Figures.fixed(comparison.seconds, 2)) s in turn, "
                        + "\(comparison.connections) connections, \(Figures.grouped(comparison.sessions)) sessions, "
                        + "answers of \(comparison.replyBytes) bytes from everybody; medians (lowest–highest), "
                        + "ratios within a round"
                ))
        }
        if let stalls = comparison?.stalls {
            facts.append(
                (
                    "stalls",
                    "a loop that only reads the clock stood still for more than "
                        + "\(Figures.time(microseconds: MachineStalls.threshold)) at a time for "
                        + "\(Figures.percent(stalls.share)) of the time, for "
                        + "\(Figures.time(microseconds: stalls.longest)) at the longest: no server can be steadier"
                ))
        }
        facts.append(("load before", "\(Figures.fixed(machine.loadAtStart, 2)) processes a core"))
        facts.append(("begun", startedAt))
        facts.append(("repeat", command))
        return facts
    }
}
