internal import WireProtocol

/// INFO: Redis's sections and names where the meaning is the same, so that existing dashboards work, and our own.
extension Dispatcher {
    func information(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        statistics.settle()
        let asked = (0..<call.arguments.count).map {
            String(decoding: call.arguments[$0], as: UTF8.self).lowercased()
        }
        let source = Figure.Source(dispatcher: self, server: call.session.server, environment: environment)
        let blocks = Self.sections(asked).map { section in
            let figures = Figure.all.filter { $0.section == section }.map { "\($0.name):\($0.read(source).text)\r\n" }
            let families = FigureFamily.all.filter { $0.section == section }.flatMap { family in
                family.read(source).map { "\(family.line($0))\r\n" }
            }
            return "# \(section.rawValue)\r\n" + (figures + families).joined()
        }
        writer.verbatim(blocks.joined(separator: "\r\n"))
        return .now
    }

    /// The sections asked for; without an argument all but the long ones; `all` and `everything` mean all.
    private static func sections(_ asked: [String]) -> [Figure.Section] {
        let everything = asked.contains { $0 == "all" || $0 == "everything" }
        let usual = asked.isEmpty || asked.contains("default")
        return Figure.Section.allCases.filter { section in
            everything || asked.contains(section.rawValue.lowercased()) || usual && !section.isLong
        }
    }
}
