internal import COpenSSL

/// Parameters of OpenSSL's calls. A parameter keeps the pointers to its name and its value, so both must outlive the
/// call: names are literals (`OSSL_MAC_PARAM_DIGEST` and its like; a Swift string would be gone by then).
extension OSSL_PARAM {
    static var end: OSSL_PARAM { OSSL_PARAM_construct_end() }

    static func text(_ name: StaticString, _ value: StaticString) -> OSSL_PARAM {
        OSSL_PARAM_construct_utf8_string(cString(name), cString(value), 0)
    }

    /// `value` must outlive the call that the parameter is for.
    static func octets(_ name: StaticString, _ value: UnsafeRawBufferPointer) -> OSSL_PARAM {
        OSSL_PARAM_construct_octet_string(
            cString(name), UnsafeMutableRawPointer(mutating: value.baseAddress), value.count)
    }

    /// A literal's own bytes, which end in a zero and live as long as the program. OpenSSL does not write to them.
    private static func cString(_ literal: StaticString) -> UnsafeMutablePointer<CChar> {
        UnsafeMutableRawPointer(mutating: literal.utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
