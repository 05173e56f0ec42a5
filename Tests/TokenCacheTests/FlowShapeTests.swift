import Testing

@testable import TokenCache

@Suite("The shape of flows")
struct FlowShapeTests {
    @Test("an event of a flow is small: it is handed over by value with every step")
    func smallEvents() {
        #expect(MemoryLayout<FlowEvent>.size < 32, "\(MemoryLayout<FlowEvent>.size) bytes")
    }
}
