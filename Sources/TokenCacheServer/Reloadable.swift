internal import EventLoop
internal import Host
internal import Logging
internal import TokenCache
internal import TokenCrypto
internal import Tokens

/// What a reload changes, in the form in which it is used: made whole before any of it is in force.
struct Reloadable {
    /// With the values in force for what changes with a restart only.
    let settings: Settings
    let policy: TokenPolicy
    let statelessPolicy: StatelessPolicy
    /// Nil leaves the ring that is there.
    let keys: KeyRing?
    let access: AccessRules
    let limits: Settings.Limits
    /// For new connections to Redis; nil where they have no TLS.
    let certificates: TLSContext?
    /// Opened, and closed by whoever does not take it over.
    let audit: AuditTrail.Sink

    /// Why nothing is changed.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    /// Opens and reads the files that the settings name.
    /// - Parameter isKeyRingInForce: whether there is a ring already, which no missing file takes away.
    init(_ settings: Settings, isKeyRingInForce: Bool, logger: Logger) throws(Refusal) {
        self.settings = settings
        policy = TokenPolicy(settings)
        statelessPolicy = StatelessPolicy(settings)
        access = AccessRules(settings)
        limits = Settings.Limits(settings)
        do throws(RedisCertificates.Refusal) { certificates = try RedisCertificates.load(settings) } catch {
            throw Refusal(description: error.description)
        }
        do throws(FileFault) { audit = try .open(settings.audit.target) } catch {
            throw Refusal(description: AuditTrail.refusal(of: settings.audit.target, error))
        }
        do throws(KeyRingError) {
            keys = try DaemonKeys.load(settings, isInForce: isKeyRingInForce, logger: logger)
        } catch {
            audit.close()
            throw Refusal(description: error.description(of: settings.keyring.file))
        }
    }
}
