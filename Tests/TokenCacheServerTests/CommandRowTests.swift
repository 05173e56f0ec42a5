import TestSupport
import Testing

@testable import TokenCacheServer
@testable import WireProtocol

@Suite("Command rows")
struct CommandRowTests {
    @Test("every command has one row, in its place, that makes sense")
    func complete() {
        #expect(CommandRow.all.count == Command.allCases.count)
        #expect(Set(CommandRow.all.map(\.name.description)).count == Command.allCases.count)
        for row in CommandRow.all {
            let name = row.name.description
            #expect((1...NameTable.longestName).contains(name.utf8.count))
            #expect(name == name.uppercased())
            #expect(name.utf8.allSatisfy { (65...90).contains($0) || $0 == 46 })
            #expect(row.arity.minimum >= 0 && row.arity.minimum <= row.arity.maximum)
            #expect(!row.summary.description.isEmpty && !row.summary.description.hasSuffix("."))
            #expect(row.role != .none)
            if row.arity.maximum == 0 { #expect(row.arguments.isEmpty) }
        }
    }

    @Test("help is made of the options that the command takes")
    func usage() {
        #expect(
            Command.tokenValidate.row.usage
                == "TOKEN.VALIDATE token [BIND signal value]… [REQUIRE subject] [REQUIRE login-within duration] "
                + "[CHECK csrf form] [FETCH-SITE site] [FETCH-MODE mode] [CSRF form] [DATA field …]")
        #expect(
            Command.tokenSet.row.arguments
                == "<token [BIND signal value]… | SID sid [SUBJECT subject]> [IDLE duration] [ABSOLUTE duration] "
                + "[IF field value]… DATA field value …")
        #expect(
            Command.tokenIncr.row.arguments
                == "<token [BIND signal value]… | SID sid [SUBJECT subject]> DATA field [n]")
        #expect(Command.tokenRevokeAll.row.arguments == "subject [EXCEPT token [BIND signal value]…]")
        #expect(
            Command.captchaIssue.row.arguments
                == "[SOLUTION text | LENGTH count] [FORM name] [FOR token] [LIFETIME duration] [BIND signal value]…")
        #expect(Command.ping.row.usage == "PING [message]")
        for row in CommandRow.all {
            for option in row.allowed { #expect(row.arguments.contains("\(option.keyword)"), "\(row.name)") }
        }
    }

    @Test("arity is checked after the name, and shown as Redis does")
    func arity() {
        #expect(Command.ping.row.arity.accepts(0))
        #expect(Command.ping.row.arity.accepts(1))
        #expect(!Command.ping.row.arity.accepts(2))
        #expect(!Command.tokenValidate.row.arity.accepts(0))
        #expect(Command.tokenValidate.row.arity.accepts(1023))
        #expect(Command.echo.row.arity.words == 2)
        #expect(Command.ping.row.arity.words == -1)
        #expect(Command.tokenLogin.row.arity.words == -3)
    }

    @Test("access: a validator asks, a worker acts, an admin operates")
    func access() {
        #expect(Role.none < .validator && Role.validator < .worker && Role.worker < .admin)
        for command in Command.allCases {
            switch command {
            case .tokenValidate, .tokenInspect, .csrfVerify: #expect(command.row.role == .validator)
            case .shutdown, .reload, .probe, .tokenScan, .tokenRevokeEveryone: #expect(command.row.role == .admin)
            default:
                #expect(command.row.role == ([.session, .guest].contains(command.row.group) ? .worker : .validator))
            }
        }
    }

    @Test("docs/protocol.md has a chapter for every command about sessions and guests, with every option in it")
    func manual() throws {
        let chapters = try PackageFolder.text("docs/protocol.md").split(separator: "\n### ").dropFirst().map(
            String.init)
        for row in CommandRow.all where row.group == .session || row.group == .guest {
            guard !row.flags.contains(.unlisted), row.name.description.contains(".") else { continue }
            let chapter = chapters.first { $0.hasPrefix("\(row.name)\n") }
            #expect(chapter != nil, "\(row.name)")
            for option in row.allowed {
                #expect(chapter?.contains("\(option.keyword)") == true, "\(row.name) \(option.keyword)")
            }
        }
    }
}
