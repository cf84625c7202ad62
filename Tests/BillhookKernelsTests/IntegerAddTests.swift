import BillhookKernels
import Testing

@Suite struct IntegerAddTests {
  private struct Operand {
    var type: Int32
    var scale: Float
    var zeroPoint: Int32
  }

  /// The sum of two vectors of numbers that are quantized with scale 1 first.
  private func run(
    _ a: [Float], _ left: Operand, _ b: [Float], _ right: Operand, relu: Bool, to out: Operand
  ) -> [Int32] {
    let plan = bh_plan_new()!
    defer { bh_plan_free(plan) }
    let shape = [1, Int64(a.count)]
    let inputs = [(a, left), (b, right)].map { numbers, operand in
      let input = bh_plan_input(plan, BH_TYPE_F32, 2, shape)
      return (
        numbers, input,
        bh_plan_quantize(plan, input, operand.type, [1], [operand.zeroPoint], 1, 1)
      )
    }
    var activation = bh_activation()
    activation.kind = relu ? BH_ACTIVATION_RELU : BH_ACTIVATION_LINEAR
    activation.alpha = 1
    let output = bh_plan_add_integer(
      plan, inputs[0].2, left.scale, left.zeroPoint, inputs[1].2, right.scale, right.zeroPoint,
      activation, out.type, out.scale, out.zeroPoint)
    _ = bh_plan_keep(plan, output)
    guard output >= 0, bh_plan_finish(plan) == 0 else { return [] }
    var bytes = [UInt8](repeating: 0, count: a.count)
    inputs[0].0.withUnsafeBufferPointer { first in
      inputs[1].0.withUnsafeBufferPointer { second in
        _ = bh_plan_bind(plan, inputs[0].1, first.baseAddress)
        _ = bh_plan_bind(plan, inputs[1].1, second.baseAddress)
        _ = bh_plan_run(plan, 0, bh_plan_position(plan))
      }
    }
    _ = bh_plan_read(plan, output, &bytes)
    return bytes.map { out.type == BH_TYPE_S8 ? Int32(Int8(bitPattern: $0)) : Int32($0) }
  }

  /// Powers of two make many sums a tie.
  @Test(
    arguments: [1, 2, 0.37, 1e-3, 1e-38, .leastNonzeroMagnitude, 3e38] as [Float], [false, true])
  func `sums are rounded as the definition says`(outScale: Float, relu: Bool) {
    let operands = [
      (
        Operand(type: BH_TYPE_U8, scale: 0.5, zeroPoint: 3),
        Operand(type: BH_TYPE_S8, scale: 0.25, zeroPoint: -9)
      ),
      (
        Operand(type: BH_TYPE_S8, scale: 0.013, zeroPoint: 0),
        Operand(type: BH_TYPE_S8, scale: 0.9, zeroPoint: 5)
      ),
      (
        Operand(type: BH_TYPE_U8, scale: 1, zeroPoint: 128),
        Operand(type: BH_TYPE_U8, scale: 1.5, zeroPoint: 255)
      ),
    ]
    for (index, (left, right)) in operands.enumerated() {
      let out = Operand(
        type: index == 0 ? BH_TYPE_S8 : BH_TYPE_U8, scale: outScale, zeroPoint: index == 0 ? -7 : 9)
      let least: Float = out.type == BH_TYPE_S8 ? -128 : 0
      for count in edgeLengths where count > 0 {
        let bytes = [left, right].enumerated().map { side, operand in
          let low: Float = operand.type == BH_TYPE_S8 ? -128 : 0
          return uniform(count, seed: UInt64(10 * index + side), from: low, to: low + 256)
            .map { $0.rounded(.down) - Float(operand.zeroPoint) }
        }
        let expected = (0..<count).map { i -> Int32 in
          let sum = bytes[0][i] * left.scale + bytes[1][i] * right.scale
          let quotient = (relu ? max(sum, 0) : sum) / outScale
          let zero = Float(out.zeroPoint)
          let cut = min(max(quotient, least - zero), least + 255 - zero)
          return Int32(cut.rounded(.toNearestOrEven)) + out.zeroPoint
        }
        for found in onEveryConfiguration({
          run(bytes[0], left, bytes[1], right, relu: relu, to: out)
        }) {
          #expect(found == expected)
        }
      }
    }
  }
}
