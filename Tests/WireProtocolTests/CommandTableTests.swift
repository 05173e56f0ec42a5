import Testing

@testable import WireProtocol

private func lookup(_ first: String, _ second: String? = nil) -> (command: Command, words: Int)? {
    // Exact allocations, so that reading past a name is found by the address sanitizer.
    Array(first.utf8).withUnsafeBytes { first in
        guard let second else { return CommandTable.lookup(first: first, second: nil) }
        return Array(second.utf8).withUnsafeBytes { CommandTable.lookup(first: first, second: $0) }
    }
}

private func mixed(_ name: String) -> String {
    String(name.enumerated().map { $0.offset % 2 == 0 ? Character($0.element.lowercased()) : $0.element })
}

@Suite("Command table")
struct CommandTableTests {
    @Test("every command has one row, in its place, that makes sense")
    func complete() {
        #expect(CommandTable.rows.map(\.command) == Command.allCases)
        #expect(Set(CommandTable.rows.map(\.name.description)).count == Command.allCases.count)
        for spec in CommandTable.rows {
            let name = spec.name.description
            #expect((1...CommandTable.longestName).contains(name.utf8.count))
            #expect(name == name.uppercased())
            #expect(name.utf8.allSatisfy { (65...90).contains($0) || $0 == 46 })
            #expect(spec.minimumArguments >= 0 && spec.minimumArguments <= spec.maximumArguments ?? .max)
            #expect(!spec.summary.description.isEmpty && !spec.summary.description.hasSuffix("."))
            #expect(spec.role != .none)
            #expect((spec.maximumArguments == 0) <= (spec.arguments.utf8CodeUnitCount == 0))
        }
    }

    @Test("every name is found in any case", arguments: Command.allCases)
    func names(_ command: Command) {
        let name = command.spec.name.description
        for form in [name, name.lowercased(), mixed(name)] {
            let found = lookup(form)
            #expect(found?.command == command)
            #expect(found?.words == 1)
            #expect(lookup(form, "x")?.words == 1)
        }
    }

    @Test("a name of a family may be sent in two words", arguments: Command.allCases)
    func twoWords(_ command: Command) {
        let parts = command.spec.name.description.split(separator: ".").map(String.init)
        guard parts.count == 2 else { return }
        for form in [parts, parts.map { $0.lowercased() }, parts.map(mixed)] {
            let found = lookup(form[0], form[1])
            #expect(found?.command == command)
            #expect(found?.words == 2)
        }
        #expect(lookup(parts[0]) == nil)
        #expect(lookup(parts[0] + ".", parts[1]) == nil)
        #expect(lookup(parts[0], "." + parts[1]) == nil)
        #expect(lookup("", command.spec.name.description) == nil)
    }

    @Test("a name that differs in one byte is another name", arguments: Command.allCases)
    func nearMisses(_ command: Command) {
        let name = Array(command.spec.name.description.utf8)
        let known = Set(CommandTable.rows.map(\.name.description))
        for index in name.indices {
            for byte in UInt8.min...UInt8.max {
                var other = name
                other[index] = byte
                let text = String(decoding: other, as: UTF8.self).uppercased()
                let found = other.withUnsafeBytes { CommandTable.lookup(first: $0, second: nil) }
                #expect((found != nil) == (known.contains(text) && byte < 128), "\(other)")
            }
            var shorter = name
            shorter.remove(at: index)
            #expect(shorter.withUnsafeBytes { CommandTable.lookup(first: $0, second: nil) } == nil)
            var longer = name
            longer.insert(0, at: index)
            #expect(longer.withUnsafeBytes { CommandTable.lookup(first: $0, second: nil) } == nil)
        }
    }

    @Test("nothing, and names that are too long, are no commands")
    func nonsense() {
        #expect(lookup("") == nil)
        #expect(lookup("", "") == nil)
        #expect(lookup("GET", "TOKEN.VALIDATE") == nil)
        #expect(lookup("TOKEN", String(repeating: "A", count: 100_000)) == nil)
        #expect(lookup(String(repeating: "A", count: 17)) == nil)
        #expect(CommandTable.lookup(first: UnsafeRawBufferPointer(start: nil, count: 0), second: nil) == nil)
    }

    @Test("arity is checked after the name, and shown as Redis does")
    func arity() {
        #expect(Command.ping.spec.accepts(argumentCount: 0))
        #expect(Command.ping.spec.accepts(argumentCount: 1))
        #expect(!Command.ping.spec.accepts(argumentCount: 2))
        #expect(!Command.tokenValidate.spec.accepts(argumentCount: 0))
        #expect(Command.tokenValidate.spec.accepts(argumentCount: 1023))
        #expect(Command.echo.spec.arity == 2)
        #expect(Command.ping.spec.arity == -1)
        #expect(Command.tokenLogin.spec.arity == -3)
    }

    @Test("access: a validator asks, a worker acts, an admin operates")
    func access() {
        #expect(Role.none < .validator && Role.validator < .worker && Role.worker < .admin)
        for command in Command.allCases {
            switch command {
            case .tokenValidate, .tokenInspect, .csrfVerify: #expect(command.spec.role == .validator)
            case .shutdown, .reload, .probe: #expect(command.spec.role == .admin)
            default:
                #expect(command.spec.role == ([.session, .guest].contains(command.spec.group) ? .worker : .validator))
            }
        }
    }
}

extension Bool {
    /// Implication.
    fileprivate static func <= (left: Bool, right: Bool) -> Bool { !left || right }
}
