internal import EventLoop
internal import Glibc
internal import Host

/// The certificates for TLS to Redis, from where the configuration says.
enum RedisCertificates {
    /// Why TLS cannot be used: the key, the file and what is wrong with it.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    /// A system's bundle of authorities has a few hundred kilobytes.
    static let maxBytes = 4 << 20

    /// - Returns: nil where Redis is not spoken to over TLS.
    static func load(_ settings: Settings) throws(Refusal) -> TLSContext? {
        guard settings.redis.url.tls else { return nil }
        let redis = settings.redis
        var material = TLSContext.Material()
        material.authorities = try read(redis.tlsAuthorities, "redis.tls-ca-cert-file")
        material.certificate = try read(redis.tlsCertificate, "redis.tls-cert-file")
        if !redis.tlsKey.isEmpty {
            let isCredential = settings.resolved.isTLSKeyCredential
            switch SecretFile.read(redis.tlsKey, isCredential: isCredential, maxBytes: maxBytes) {
            case .success(let bytes): material.key = bytes
            case .failure(let fault): throw refusal("redis.tls-key-file", redis.tlsKey, fault.text)
            }
        }
        do throws(TLSContext.Refusal) { return try TLSContext(material) } catch {
            switch error.part {
            case .authorities: throw refusal("redis.tls-ca-cert-file", redis.tlsAuthorities, error.text)
            case .certificate: throw refusal("redis.tls-cert-file", redis.tlsCertificate, error.text)
            case .key: throw refusal("redis.tls-key-file", redis.tlsKey, error.text)
            case .library: throw Refusal(description: "OpenSSL \(error.text)")
            }
        }
    }

    /// For `--check-config`: what is wrong with the files that are there.
    static func problem(_ settings: Settings) -> String? {
        do throws(Refusal) {
            _ = try load(settings)
            return nil
        } catch { return error.description }
    }

    private static func read(_ path: String, _ key: String) throws(Refusal) -> [UInt8]? {
        guard !path.isEmpty else { return nil }
        switch HostFiles.readBytes(path, maxBytes: maxBytes) {
        case .success(let bytes): return bytes
        case .failure(let fault): throw refusal(key, path, fault.text)
        }
    }

    private static func refusal(_ key: String, _ path: String, _ text: String) -> Refusal {
        Refusal(description: "\(key): \(PrintableText.quoted(path)) \(text)")
    }
}
