internal import EventLoop
internal import Logging
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// The key ring of a daemon, from where its configuration says.
enum DaemonKeys {
    /// - Parameter isInForce: whether there is a ring already, which no missing file takes away.
    /// - Returns: nil where there is none: guests, CSRF tokens and captchas are refused then, sessions go on.
    /// - Throws: for a ring that is there and cannot be used; what is in force stays in force.
    static func load(_ settings: Settings, isInForce: Bool, logger: Logger) throws(KeyRingError) -> KeyRing? {
        let file = settings.keyring.file
        guard !file.isEmpty else {
            logger.warning("there is no key ring (keyring.file): guests, CSRF tokens and captchas answer NOKEYS")
            return nil
        }
        do throws(KeyRingError) {
            let ring = try KeyRingFile.load(path: file, isCredential: settings.resolved.isKeyringCredential)
            try check(ring, file, logger)
            return ring
        } catch .missing {
            guard !isInForce else { throw .missing(path: file) }
            if settings.resolved.isKeyringMade { return try make(file, logger) }
            guard settings.binding.ip == .off, settings.binding.userAgent == .off else {
                throw .missing(path: file)
            }
            logger.warning(
                "the key ring is not there: guests, CSRF tokens and captchas answer NOKEYS until a reload finds it",
                metadata: ["keyring.file": "\(file)"])
            return nil
        }
    }

    /// For `--check-config`: what is wrong with a ring that is there.
    static func problem(_ settings: Settings) -> String? {
        guard !settings.keyring.file.isEmpty else { return nil }
        do throws(KeyRingError) {
            _ = try KeyRingFile.load(path: settings.keyring.file, isCredential: settings.resolved.isKeyringCredential)
            return nil
        } catch .missing { return nil } catch { return "keyring.file: \(settings.keyring.file): \(error)" }
    }

    /// Beside an embedded Redis: no other host needs the same keys.
    private static func make(_ path: String, _ logger: Logger) throws(KeyRingError) -> KeyRing {
        var random = SystemRandom()
        let now = HostClock.now().seconds
        let ring = try KeyRing(keys: [try RingKey.make(created: now, activeFrom: now, random: &random)])
        try KeyRingFile.write(ring, path: path, mustBeNew: true)
        logger.notice("a key ring was made", metadata: ["file": "\(path)"])
        return ring
    }

    private static func check(_ ring: KeyRing, _ path: String, _ logger: Logger) throws(KeyRingError) {
        if ring.signingKey(at: HostClock.now().seconds) == nil {
            logger.warning("no key of the key ring signs yet (active_from)", metadata: ["file": "\(path)"])
        }
    }
}
