import BillhookTensor
import Testing

@Suite struct TensorConversionTests {
  @Test func `bfloat16 rounds to nearest, halves to even, and keeps NaN`() {
    #expect(BFloat16(1).bitPattern == 0x3F80)
    // 1 + 2⁻⁸ lies halfway between 1 and 1 + 2⁻⁷; the even one is 1.
    #expect(BFloat16(1 + 0x1p-8).float == 1)
    #expect(BFloat16(1 + 3 * 0x1p-8).float == 1 + 0x1p-6)
    #expect(BFloat16(.nan).float.isNaN)
    #expect(BFloat16(-.infinity).float == -.infinity)
  }

  @Test func `fractions are cut off towards zero, and nothing traps`() {
    let numbers = Tensor([1.9, -1.9, .nan, 300, -1e30] as [Double])
    #expect(numbers.converted(to: .int8) == Tensor([1, -1, 0, 44, -128] as [Int8]))
    #expect(numbers.converted(to: .bool) == Tensor([true, true, true, true, true]))
  }

  @Test func `64-bit integers stay exact`() {
    let big = Tensor([UInt64.max, 1 << 60 | 1])
    #expect(big.converted(to: .int64) == Tensor([-1, 1 << 60 | 1] as [Int64]))
    #expect(big.converted(to: .int64).converted(to: .uint64) == big)
  }

  @Test(arguments: ElementType.allCases)
  func `every element type goes to every other and back for small integers`(type: ElementType) {
    for other in ElementType.allCases {
      let source = Tensor(truncating: [0, 1], shape: [2], type)
      #expect(source.converted(to: other).converted(to: type) == source)
      #expect(source.numbers() == [0, 1])
      #expect(source.floats() == [0, 1])
    }
  }
}
