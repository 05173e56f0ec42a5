import Foundation
import TestSupport

/// Runs a body with real Sentinels and daemons that ask them for their master; what goes wrong is told with the daemons' logs.
func withSentinelSite(
    daemons count: Int = 2, settings: [String: String] = [:], password: String? = nil, isTLS: Bool = false,
    url: (SentinelSite) -> String = { $0.url }, _ body: (Stage, SentinelSite, [Daemon]) throws -> Void
) throws {
    let stage = try Stage(isRestricted: false)
    let authority = isTLS ? try CertificateAuthority(in: stage.folder.folder("tls")) : nil
    let site = try SentinelSite(in: stage.folder.folder("site"), password: password, authority: authority)
    try stage.serve(
        url(site), daemons: count, settings: settings.merging(site.settings) { own, _ in own }, until: site.stop
    ) { try body(stage, site, $0) }
}

extension Stage {
    /// Runs a body with daemons before servers that are not the stage's own; what goes wrong is told with the daemons' logs.
    /// - Parameter stop: ends the servers.
    func serve(
        _ url: String, daemons count: Int, settings: [String: String], until stop: () -> Void,
        _ body: ([Daemon]) throws -> Void
    ) throws {
        var problems: [String] = []
        do {
            try body((0..<count).map { _ in try addDaemon(.url(url), settings: settings) })
        } catch {
            problems.append("\(error)")
            for daemon in daemons { problems.append("\(daemon.name): \(daemon.log.suffix(1500))") }
        }
        for daemon in daemons { daemon.kill9() }
        stop()
        problems += leaks()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }
}
