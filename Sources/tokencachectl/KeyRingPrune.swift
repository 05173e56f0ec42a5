import ArgumentParser
import TokenCacheClient
import TokenCrypto
import UnixTime

/// `keyring prune`: removes keys that no good token was sealed with.
struct KeyRingPrune: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Remove keys that stopped signing longer ago than any token lives.",
        discussion: """
            The longest lifetime is that of the running daemon (guest.absolute, guest.lifetime, csrf.lifetime, \
            captcha.lifetime), at least 30d, which any captcha may ask for; 400d, the most that can be configured, if no \
            daemon answers. --longest overrides both: it must not be shorter than any lifetime of the site's tokens, or \
            good ones are refused. The key that signs always stays.
            """)

    @Option(help: ArgumentHelp("The longest lifetime of a token.", valueName: "duration"))
    var longest: DurationArgument?

    @OptionGroup var ring: KeyRingOptions
    @OptionGroup var global: GlobalOptions

    /// The most that a daemon can be configured to give.
    static let configurableLongest: Seconds = 400 * 86_400
    /// The most that CAPTCHA.ISSUE may be asked for, whatever is configured.
    static let captchaLongest: Seconds = 30 * 86_400

    func run() throws {
        let old = try ring.load()
        let longest =
            self.longest.map { ($0.duration.roundedUpSeconds, "as given") } ?? daemonsLongest()
            ?? (Self.configurableLongest, "the most that can be configured: no daemon answers")
        let new = old.pruned(now: Layout.now, longestLifetime: longest.0)
        let removed = old.keys.filter { !new.keys.contains($0) }.map(\.kid)
        if !removed.isEmpty { try ring.replace(by: new) }
        try KeyRingPage(path: ring.path, ring: new, new: nil, removed: removed, longest: longest).show(
            asJSON: global.json,
            advice: removed.isEmpty ? nil : "copy it to every host of the site, and tell the daemons: SIGHUP")
    }

    /// The longest lifetime that the daemon gives to what it seals; nil if there is none, or it does not say all.
    private func daemonsLongest() -> (Seconds, String)? {
        guard let connection = try? global.connect() else { return nil }
        var longest = Self.captchaLongest
        for key in ["guest.absolute", "guest.lifetime", "csrf.lifetime", "captcha.lifetime"] {
            guard let reply = try? connection.call(["CONFIG", "GET", key].map(\.bytes)),
                let text = reply.fields?[key]?.string, let lifetime = DurationArgument(argument: text)
            else { return nil }
            longest = max(longest, lifetime.duration.roundedUpSeconds)
        }
        return (longest, "as the daemon is configured")
    }
}

extension Duration {
    /// Whole seconds, a part of one counted as one.
    var roundedUpSeconds: Seconds { components.seconds + (components.attoseconds > 0 ? 1 : 0) }
}
