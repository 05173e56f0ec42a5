// Fuzzes the reader of the configuration file: whatever the bytes are, a document within the bounds or a fault of a line
// that is there. Compiled together with the reader, so it imports nothing of the project.

internal import Glibc

/// Depth of a node, 0 for a value.
private func depth(_ node: YAMLNode) -> Int {
    guard case .mapping(let members) = node.content else { return 0 }
    return 1 + (members.flatMap { [depth($0.key), depth($0.value)] }.max() ?? 0)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    // Carriage returns and separators of Unicode break lines, too.
    let lines = bytes.count + 1
    do throws(YAMLFault) {
        guard let root = try YAMLReader.read(bytes) else { return 0 }
        guard depth(root) <= YAMLReader.maxDepth + 1, (1...lines).contains(root.line) else { abort() }
    } catch {
        if let line = error.line, !(1...lines).contains(line) { abort() }
        if error.text.isEmpty { abort() }
    }
    return 0
}
