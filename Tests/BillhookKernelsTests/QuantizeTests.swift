import BillhookKernels
import Testing

@Suite struct QuantizeTests {
  @Test func `ties round to the even integer and the rest saturates`() {
    // Divided by 0.5: 1, 2.5 -> 2, 3.5 -> 4, -0.5 -> -0 -> 0, 400, -400, and NaN takes the least.
    let x: [Float] = [0.5, 1.25, 1.75, -0.25, 200, -200, .nan, .infinity, -.infinity]
    var q = [Int8](repeating: 0, count: x.count)
    bh_quantize_f32_s8(x, 1, 1, Int64(x.count), [0.5], nil, -128, 127, &q)
    #expect(q == [1, 2, 4, 0, 127, -128, -128, 127, -128])
    var u = [UInt8](repeating: 0, count: x.count)
    bh_quantize_f32_u8(x, 1, 1, Int64(x.count), [0.5], [3], 0, 255, &u)
    #expect(u == [4, 5, 7, 3, 255, 0, 0, 255, 0])
  }

  @Test func `scales map the range onto the integers`() {
    #expect(bh_symmetric_scale(-2.54, 1, 127) == Float(2.54) / 127)
    #expect(bh_symmetric_scale(0, 0, 127) == 1)
    #expect(bh_symmetric_scale(.leastNonzeroMagnitude, 0, 127) == .leastNormalMagnitude)
    var zeroPoint: Int32 = 9
    // [-1, 3] onto 0...255: step 4 / 255, zero at 63.75, rounded to 64.
    #expect(bh_affine_scale(-1, 3, 0, 255, &zeroPoint) == Float(4) / 255)
    #expect(zeroPoint == 64)
    // A range of positive values is widened to hold 0.
    #expect(bh_affine_scale(2, 4, -128, 127, &zeroPoint) == Float(4) / 255)
    #expect(zeroPoint == -128)
    #expect(bh_affine_scale(0, 0, 0, 255, &zeroPoint) == 1)
    #expect(zeroPoint == 0)
    let most = Float.greatestFiniteMagnitude
    #expect(bh_affine_scale(-most, most, 0, 255, &zeroPoint).isFinite)
    #expect(zeroPoint == 128)
  }

  /// [outer, channels, inner]: rows, neighbouring channels, short rows, one channel, nothing.
  static let shapes: [[Int]] = [
    [1, 1, 1], [1, 5, 17], [3, 20, 1], [2, 3, 4], [4, 7, 33], [1, 1, 1000], [1, 3, 70_000],
    [300, 50, 9], [1, 0, 4], [0, 2, 2],
  ]

  @Test(arguments: shapes, 0..<2 as Range<UInt64>)
  func `quantization equals the reference bit for bit`(shape: [Int], seed: UInt64) {
    let (o, c, i) = (Int64(shape[0]), Int64(shape[1]), Int64(shape[2]))
    let count = shape.reduce(1, *)
    let scales = uniform(shape[1], seed: seed + 20, from: 0.001, to: 0.02)
    let zeros = uniform(shape[1], seed: seed + 21, from: 0, to: 100).map { Int32($0) }
    for x in [uniform(count, seed: seed), repetitive(count, seed: seed, special: true)] {
      for points in [nil, zeros] {
        var signed = [Int8](repeating: 1, count: count)
        var unsigned = [UInt8](repeating: 1, count: count)
        bh_quantize_f32_s8_scalar(x, o, c, i, scales, points, -127, 127, &signed)
        bh_quantize_f32_u8_scalar(x, o, c, i, scales, points, 0, 255, &unsigned)
        for (s, u) in onEveryConfiguration({
          var s = [Int8](repeating: 2, count: count)
          var u = [UInt8](repeating: 2, count: count)
          bh_quantize_f32_s8(x, o, c, i, scales, points, -127, 127, &s)
          bh_quantize_f32_u8(x, o, c, i, scales, points, 0, 255, &u)
          return (s, u)
        }) {
          #expect(s == signed)
          #expect(u == unsigned)
        }
      }
    }
  }

  @Test(arguments: shapes, [Int32(0), 1])
  func `finding the scales and quantizing at once equals the reference`(
    shape: [Int], symmetric: Int32
  ) {
    let (o, c, i) = (Int64(shape[0]), Int64(shape[1]), Int64(shape[2]))
    let count = shape.reduce(1, *)
    let x = uniform(count, seed: 30, from: -3, to: 2)
    var scales = [Float](repeating: 0, count: shape[1])
    var zeros = [Int32](repeating: 5, count: shape[1])
    var signed = [Int8](repeating: 0, count: count)
    bh_quantize_channels_f32_s8_scalar(
      x, o, c, i, symmetric, -127, 127, &scales, &zeros, &signed)
    var unsignedScales = scales
    var unsignedZeros = zeros
    var unsigned = [UInt8](repeating: 0, count: count)
    bh_quantize_channels_f32_u8_scalar(
      x, o, c, i, 0, 0, 127, &unsignedScales, &unsignedZeros, &unsigned)
    for result in onEveryConfiguration({
      var s = [Float](repeating: 1, count: shape[1])
      var z = [Int32](repeating: 6, count: shape[1])
      var q = [Int8](repeating: 1, count: count)
      bh_quantize_channels_f32_s8(x, o, c, i, symmetric, -127, 127, &s, &z, &q)
      var us = s
      var uz = z
      var u = [UInt8](repeating: 1, count: count)
      bh_quantize_channels_f32_u8(x, o, c, i, 0, 0, 127, &us, &uz, &u)
      return (s, z, q, us, uz, u)
    }) {
      #expect(sameBits(result.0, scales))
      #expect(result.1 == zeros)
      #expect(result.2 == signed)
      #expect(sameBits(result.3, unsignedScales))
      #expect(result.4 == unsignedZeros)
      #expect(result.5 == unsigned)
    }
  }

  @Test func `a channel of zeros and one without numbers get scale 1`() {
    let x: [Float] = [0, -0.0, .nan, .nan, 1, -2]
    var scales = [Float](repeating: 0, count: 3)
    var q = [Int8](repeating: 9, count: 6)
    bh_quantize_channels_f32_s8(x, 1, 3, 2, 1, -127, 127, &scales, nil, &q)
    #expect(scales == [1, 1, Float(2) / 127])
    #expect(q == [0, 0, -127, -127, 64, -127])
  }

  @Test(arguments: shapes)
  func `dequantization equals the reference bit for bit`(shape: [Int]) {
    let (o, c, i) = (Int64(shape[0]), Int64(shape[1]), Int64(shape[2]))
    let count = shape.reduce(1, *)
    let bytes = uniform(count, seed: 40, from: 0, to: 256).map { UInt8($0) }
    let signed = bytes.map { Int8(bitPattern: $0) }
    let words = bytes.map { Int32($0) &* 0x7FF_FFFF }
    let scales = uniform(shape[1], seed: 41, from: 0.001, to: 0.02)
    let zeros = uniform(shape[1], seed: 42, from: -100, to: 100).map { Int32($0) }
    for points in [nil, zeros] {
      var expected = [[Float]](repeating: [Float](repeating: 0, count: count), count: 3)
      bh_dequantize_s8_f32_scalar(signed, o, c, i, scales, points, &expected[0])
      bh_dequantize_u8_f32_scalar(bytes, o, c, i, scales, points, &expected[1])
      bh_dequantize_s32_f32_scalar(words, o, c, i, scales, points, &expected[2])
      for result in onEveryConfiguration({
        var out = [[Float]](repeating: [Float](repeating: 1, count: count), count: 3)
        bh_dequantize_s8_f32(signed, o, c, i, scales, points, &out[0])
        bh_dequantize_u8_f32(bytes, o, c, i, scales, points, &out[1])
        bh_dequantize_s32_f32(words, o, c, i, scales, points, &out[2])
        return out
      }) {
        #expect(zip(result, expected).allSatisfy(sameBits))
      }
    }
  }
}
