public import TokenCrypto
public import UnixTime

extension Sealer {
    /// Bindings to the signals that are given and whose mode is not `off`.
    public func bind(
        _ signals: Signals, policy: BindingPolicy, now: UnixSeconds
    ) throws(CryptoError) -> Bindings {
        var bindings = Bindings()
        // Most calls bind nothing, and need no active key for it.
        for signal in Signal.allCases where policy.mode(of: signal) != .off && signals.gives(signal) {
            bindings[signal] = try binding(of: signal, signals, policy: policy, key: try signingKey(at: now))
        }
        return bindings
    }

    /// Compares bindings with what a call gives: signals whose mode is `off`, and those that nothing was bound to, are
    /// not looked at.
    public func check(
        _ bindings: Bindings, _ signals: Signals, policy: BindingPolicy, now: UnixSeconds
    ) throws(CryptoError) -> BindingVerdict {
        var verdict = BindingVerdict()
        if bindings.isEmpty || policy.isOff { return verdict }
        var renewed = bindings
        for signal in Signal.allCases {
            let mode = policy.mode(of: signal)
            guard mode != .off, let binding = bindings[signal] else { continue }
            guard signals.gives(signal) else {
                if mode == .strict { verdict.isMismatch = true }
                continue
            }
            guard let key = binding.kid.withUnsafeBytes({ key(named: $0) }) else {
                renewed[signal] = try self.binding(
                    of: signal, signals, policy: policy, key: try signingKey(at: now))
                continue
            }
            let code = try code(of: signal, signals, prefix: binding.prefix, key: key)
            let isSame = binding.code.withUnsafeBytes { bound in code.withUnsafeBytes { constantTimeEqual($0, bound) } }
            if isSame { continue }
            if mode == .strict { verdict.isMismatch = true } else { verdict.differs.append(signal) }
        }
        if !verdict.isMismatch, renewed != bindings { verdict.renewed = renewed }
        return verdict
    }

    private func binding(
        of signal: Signal, _ signals: Signals, policy: BindingPolicy, key: SealingKey
    ) throws(CryptoError) -> Binding {
        let prefix: UInt8 =
            switch signal {
            case .ip:
                switch signals.ip {
                case .v6: UInt8(clamping: policy.prefix6)
                case .v4, nil: UInt8(clamping: policy.prefix4)
                }
            case .ua: 0
            }
        return Binding(kid: key.kid, prefix: prefix, code: try code(of: signal, signals, prefix: prefix, key: key))
    }

    /// The HMAC over the signal's name and its value, each behind its length; of an address: version and prefix length
    /// as one part, the bits that count as another.
    private func code(
        of signal: Signal, _ signals: Signals, prefix: UInt8, key: SealingKey
    ) throws(CryptoError) -> [UInt8] {
        let mac = key.binding
        try mac.begin()
        let name = signal.rawValue
        try Array(name.utf8).withRawBytes { name throws(CryptoError) in try mac.addDelimited(name) }
        switch signal {
        case .ip:
            guard let ip = signals.ip else { throw CryptoError(operation: "binding to an address that is not given") }
            try [ip.version, prefix].withRawBytes { kind throws(CryptoError) in try mac.addDelimited(kind) }
            try ip.masked(to: Int(prefix)).withRawBytes { bits throws(CryptoError) in try mac.addDelimited(bits) }
        case .ua:
            try (signals.userAgent ?? []).withRawBytes { agent throws(CryptoError) in try mac.addDelimited(agent) }
        }
        return Array(try mac.finish().bytes.prefix(Binding.codeCount))
    }
}
