import Foundation
import TestSupport
import Testing

/// Runs that were written by hand, and those of seeds that once failed, shrunk: `scenarios/*.txt`.
@Suite("Scenarios")
struct ScenarioTests {
    private static let folder = PackageFolder.file("Tests/Simulator/scenarios")

    private static var names: [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return files.filter { $0.hasSuffix(".txt") }.sorted()
    }

    @Test("there are scenarios")
    func found() { #expect(Self.names.count >= 10, "in \(Self.folder): \(Self.names)") }

    @Test("a scenario ends as it says", arguments: names)
    func scenarios(name: String) throws {
        let content = try String(contentsOfFile: "\(Self.folder)/\(name)", encoding: .utf8)
        let setup = try Setup(scenario: content)
        let result = Simulation.run(setup, keepsLog: true)
        let missed = Set(result.violations.map(\.invariant))
        let isAsSaid = missed == Set(setup.expects)
        #expect(isAsSaid, "\(name): \(result.violations)\n\(result.log.joined(separator: "\n"))")
    }
}
