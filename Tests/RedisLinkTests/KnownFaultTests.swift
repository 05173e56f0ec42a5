import Foundation
import TestSupport
import Testing

@testable import RedisLink

@Suite("The table of faults: one row a fault, from which answers, log, doctor and manual come")
struct KnownFaultTests {
    @Test("docs/operations.md has the rows of the table, in its order, and no others")
    func manual() throws {
        let text = try PackageFolder.text("docs/operations.md")
        let section = try #require(text.components(separatedBy: "\n## UNAVAILABLE\n").last)
            .components(separatedBy: "\n## ")[0]
        let rows = section.split(separator: "\n").filter { $0.hasPrefix("| `") && !$0.hasPrefix("| `UNAVAILABLE") }
        let expected = KnownFault.all.map { "| `\($0.text)\($0.detail)` | \($0.meaning) | \($0.remedy) |" }
        #expect(rows.map(String.init) == expected)
    }

    @Test("every row is found by its own text, and says what to do")
    func rows() {
        for row in KnownFault.all {
            #expect(KnownFault.of(row.text + row.detail) == row)
            #expect(!row.meaning.isEmpty && !row.remedy.isEmpty)
        }
        #expect(Set(KnownFault.all.map(\.text)).count == KnownFault.all.count)
        #expect(KnownFault.of("something else") == nil && !KnownFault.remedy(for: "something else").isEmpty)
    }

    @Test(
        "whatever Redis answers leads to a row",
        arguments: [
            "NOSCRIPT No matching script.", "LOADING Redis is loading the dataset in memory", "BUSY Redis is busy",
            "OOM command not allowed when used memory > 'maxmemory'.", "READONLY You can't write against a read only",
            "MASTERDOWN Link with MASTER is down", "NOREPLICAS Not enough good replicas to write.",
            "MISCONF Redis is configured to save RDB snapshots", "DENIED Redis is running in protected mode",
            "NOAUTH Authentication required.", "WRONGPASS invalid username-password pair", "NOPERM this user has no",
            "CLUSTERDOWN Hash slot not served", "MOVED 3999 127.0.0.1:6381", "ERR max number of clients reached",
            "ERR The user executing the script can't run this command or subcommand",
            "ERR unknown command 'EVALSHA', with args beginning with: 'secret'",
            "ERR Unknown Redis command called from script script: 6fc, on @user_script:12.",
            "ERR Error running script", "ERR something new", "",
        ])
    func answers(text: String) {
        let fault = RedisFault.classify(error: text).fault
        #expect(KnownFault.of(fault.description) != nil, "\(fault)")
        #expect(!fault.description.contains("secret"))
    }

    @Test("a command that was renamed away is said to be unknown, not the script to be wrong")
    func renamed() {
        for text in ["ERR unknown command 'EVALSHA'", "ERR Unknown Redis command called from script script: 6fc"] {
            #expect(RedisFault.classify(error: text).fault.description.contains("does not know a command"))
        }
    }
}
