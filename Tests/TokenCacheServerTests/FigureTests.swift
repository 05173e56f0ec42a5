import TestSupport
import Testing

@testable import TokenCacheServer

@Suite("Figures")
struct FigureTests {
    /// In the order of INFO.
    private static let rows = Figure.Section.allCases.flatMap { section in
        Figure.all.filter { $0.section == section }.map(\.manual)
            + FigureFamily.all.filter { $0.section == section }.map(\.manual)
    }

    @Test("docs/operations.md has every figure, and none that there is not")
    func manual() throws {
        let text = try PackageFolder.text("docs/operations.md")
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let head = try #require(lines.firstIndex(of: "| section | field | kind | what it tells |"))
        let found = Array(lines[(head + 2)...].prefix { $0.hasPrefix("|") })
        #expect(found == Self.rows, "it should be:\n\(Self.rows.joined(separator: "\n"))")
    }

    @Test("names are those of a kind: lower case, one a section, and rising ones are counters")
    func names() {
        for section in Figure.Section.allCases {
            let names = Figure.all.filter { $0.section == section }.map(\.name.description)
            #expect(Set(names).count == names.count)
            #expect(names.allSatisfy { $0.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" } })
        }
        for figure in Figure.all {
            #expect(!figure.help.description.isEmpty && !figure.help.description.hasSuffix("."), "\(figure.name)")
        }
    }
}
