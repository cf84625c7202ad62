import Glibc
import Testing

@testable import BillhookPlugins

@Suite struct CallMemoryTests {
  /// Sizes that fit in a block, that fill it, and that need one of their own.
  @Test func `pieces do not overlap, keep their place, and start at multiples of 16`() {
    let memory = CallMemory()
    let sizes = [1, 16, 0, 900, 100, 5000, 3, 40_000, 1024]
    for _ in 0..<2 {
      let pieces = sizes.enumerated().map { index, size in
        let piece = memory.allocate(size)
        piece.initializeMemory(as: UInt8.self, repeating: UInt8(index + 1), count: size)
        return UnsafeRawBufferPointer(start: piece, count: size)
      }
      for (index, piece) in pieces.enumerated() {
        #expect(Int(bitPattern: piece.baseAddress) % 16 == 0)
        #expect(piece.allSatisfy { $0 == UInt8(index + 1) }, "piece \(index)")
      }
      memory.reset()
    }
  }

  @Test(arguments: [
    "", "w", "conv1.weight", "Gewichte größer", String(repeating: "x", count: 3000),
  ])
  func `a text ends with a zero`(text: String) {
    let memory = CallMemory()
    // What was there before must not show.
    memset(memory.allocate(500), 0xFF, 500)
    memory.reset()
    #expect(String(cString: memory.text(text)) == text)
  }

  @Test func `without bytes to copy there are zeros`() {
    let memory = CallMemory()
    memset(memory.allocate(500), 0xFF, 500)
    memory.reset()
    let zeros = UnsafeRawBufferPointer(start: memory.copy(nil, 100), count: 100)
    #expect(zeros.allSatisfy { $0 == 0 })
  }
}
