import BillhookKernels
import Foundation
import Testing

@Suite struct RotaryTests {
  private static func form(
    rotated: Int64, headsFirst: Bool, interleaved: Bool, backward: Bool = false
  ) -> bh_rotary {
    bh_rotary(
      images: 2, heads: 3, steps: 5, size: 72, rotated: rotated, heads_first: headsFirst ? 1 : 0,
      interleaved: interleaved ? 1 : 0, backward: backward ? 1 : 0)
  }

  @Test(arguments: [0, 2, 6, 16, 32, 34, 72] as [Int64], [false, true])
  func `heads are turned like the reference's, in place too`(
    rotated: Int64, interleaved: Bool
  ) {
    let x = uniform(2 * 3 * 5 * 72, seed: 1)
    let cosines = uniform(max(10 * Int(rotated) / 2, 1), seed: 2)
    let sines = uniform(max(10 * Int(rotated) / 2, 1), seed: 3)
    for headsFirst in [false, true] {
      for backward in [false, true] {
        var form = Self.form(
          rotated: rotated, headsFirst: headsFirst, interleaved: interleaved, backward: backward)
        var expected = x
        bh_rotary_f32_scalar(&form, x, cosines, sines, &expected)
        let runs = onEveryConfiguration {
          var own = form
          var y = x.map { _ in Float.nan }
          bh_rotary_f32(&own, x, cosines, sines, &y)
          var inPlace = x
          inPlace.withUnsafeMutableBufferPointer {
            bh_rotary_f32(&own, $0.baseAddress, cosines, sines, $0.baseAddress)
          }
          #expect(sameBits(y, inPlace))
          return y
        }
        for found in runs {
          // Two products below 1 and their sum, each rounded.
          for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 3e-7, "\(a) \(b)") }
          #expect(sameBits(found, runs[0]))
        }
      }
    }
  }

  @Test func `a quarter turn moves the first of a pair to the second by hand`() {
    var form = bh_rotary(
      images: 1, heads: 1, steps: 1, size: 5, rotated: 4, heads_first: 1, interleaved: 0,
      backward: 0)
    var y = [Float](repeating: 9, count: 5)
    bh_rotary_f32(&form, [1, 2, 3, 4, 5], [0, 1], [1, 0], &y)
    #expect(y == [-3, 2, 1, 4, 5])
    form.interleaved = 1
    bh_rotary_f32(&form, [1, 2, 3, 4, 5], [0, 1], [1, 0], &y)
    #expect(y == [-2, 1, 3, 4, 5])
  }

  @Test(arguments: [false, true])
  func `turning back undoes the turn`(interleaved: Bool) {
    let x = uniform(2 * 3 * 5 * 72, seed: 1)
    let angles = uniform(10 * 36, seed: 2, from: -3, to: 3)
    var form = Self.form(rotated: 72, headsFirst: false, interleaved: interleaved)
    var y = x
    bh_rotary_f32(&form, x, angles.map { cos($0) }, angles.map { sin($0) }, &y)
    form.backward = 1
    var back = x
    bh_rotary_f32(&form, y, angles.map { cos($0) }, angles.map { sin($0) }, &back)
    for (a, b) in zip(back, x) { #expect(abs(a - b) <= 1e-6) }
  }
}
