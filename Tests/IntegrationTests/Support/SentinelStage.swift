import Foundation
import TestSupport

/// Runs a body with real Sentinels and daemons that ask them for their master; what goes wrong is told with the daemons' logs.
func withSentinelSite(
    daemons count: Int = 2, settings: [String: String] = [:], password: String? = nil,
    url: (SentinelSite) -> String = { $0.url }, _ body: (Stage, SentinelSite, [Daemon]) throws -> Void
) throws {
    let stage = try Stage(isRestricted: false)
    var problems: [String] = []
    let site = try SentinelSite(in: stage.folder.folder("site"), password: password)
    do {
        let daemons = try (0..<count).map { _ in try stage.addDaemon(.url(url(site)), settings: settings) }
        try body(stage, site, daemons)
    } catch {
        problems.append("\(error)")
        for daemon in stage.daemons { problems.append("\(daemon.name): \(daemon.log.suffix(1500))") }
    }
    for daemon in stage.daemons { daemon.kill9() }
    site.stop()
    problems += stage.leaks()
    if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
}
