import BillhookKernels
import Foundation
import Testing

/// The arguments of one call, owned.
private struct Task {
  var student: [Float]
  var teacher: [Float]?
  var labels: [Int64]?
  var weights: [Float]?
  var rows: Int
  var classes: Int
  var temperature: Float = 4
  var alpha: Float = 0
  var scale: Float = 1

  struct Outcome {
    var status: Int32
    var result: bh_distillation_result
    var gradient: [Float]
    var rowLosses: [Double]
  }

  func run(
    _ kernel: (UnsafePointer<bh_distillation>?, UnsafeMutablePointer<bh_distillation_result>?) ->
      Int32
  ) -> Outcome {
    var gradient = [Float](repeating: 7, count: rows * classes)
    var rowLosses = [Double](repeating: 7, count: rows)
    var result = bh_distillation_result()
    let status = student.withUnsafeBufferPointer { student in
      (teacher ?? []).withUnsafeBufferPointer { teacher in
        (labels ?? []).withUnsafeBufferPointer { labels in
          (weights ?? []).withUnsafeBufferPointer { weights in
            gradient.withUnsafeMutableBufferPointer { gradient in
              rowLosses.withUnsafeMutableBufferPointer { rowLosses in
                var task = bh_distillation(
                  student: student.baseAddress,
                  teacher: self.teacher == nil ? nil : teacher.baseAddress,
                  labels: self.labels == nil ? nil : labels.baseAddress,
                  row_weights: self.weights == nil ? nil : weights.baseAddress,
                  rows: Int64(rows), classes: Int64(classes), temperature: temperature,
                  alpha: alpha, scale: scale, gradient: gradient.baseAddress,
                  row_losses: rowLosses.baseAddress)
                return kernel(&task, &result)
              }
            }
          }
        }
      }
    }
    return Outcome(status: status, result: result, gradient: gradient, rowLosses: rowLosses)
  }
}

private func near(_ a: Double, _ b: Double, _ tolerance: Double) -> Bool {
  abs(a - b) <= tolerance
}

@Suite struct LossTests {
  static let shapes = [
    (1, 1), (1, 2), (5, 7), (4, 8), (3, 9), (256, 10), (2, 17), (3, 100), (2, 1000), (3, 5003),
  ]

  // Float exponentials of 2 ulp and float sums over blocks of at most 512: below 1e-6 relative.
  @Test(arguments: shapes, [Float(0), 0.3, 1])
  func `loss and gradient agree with the reference in double`(
    shape: (Int, Int), alpha: Float
  ) {
    let (rows, classes) = shape
    var task = Task(
      student: uniform(rows * classes, seed: 50, from: -9, to: 9),
      teacher: alpha == 1 ? nil : uniform(rows * classes, seed: 51, from: -9, to: 9),
      labels: alpha == 0 ? nil : (0..<rows).map { $0 % 3 == 2 ? -100 : Int64($0 % classes) },
      weights: uniform(rows, seed: 52, from: 0, to: 2), rows: rows, classes: classes,
      alpha: alpha, scale: 1 / Float(rows))
    for temperature: Float in [1, 4] {
      task.temperature = temperature
      let slow = task.run(bh_distillation_loss_f32_scalar)
      #expect(slow.status == 0)
      for fast in onEveryConfiguration({ task.run(bh_distillation_loss_f32) }) {
        #expect(fast.status == 0)
        #expect(fast.result.labelled == slow.result.labelled)
        let size = 1 + abs(slow.result.loss)
        #expect(near(fast.result.loss, slow.result.loss, 1e-5 * size))
        #expect(
          near(fast.result.divergence, slow.result.divergence, 1e-6 * Double(rows) * 20))
        #expect(
          near(fast.result.cross_entropy, slow.result.cross_entropy, 1e-6 * Double(rows) * 20))
        for (a, b) in zip(fast.gradient, slow.gradient) {
          #expect(abs(a - b) <= 4e-6 * task.scale * temperature)
        }
        for (a, b) in zip(fast.rowLosses, slow.rowLosses) { #expect(near(a, b, 1e-4)) }
      }
    }
  }

  @Test func `the thread count does not change a bit`() {
    let task = Task(
      student: uniform(300 * 257, seed: 53, from: -9, to: 9),
      teacher: uniform(300 * 257, seed: 54, from: -9, to: 9),
      labels: (0..<300).map { Int64($0 % 257) }, rows: 300, classes: 257, alpha: 0.1)
    let outcomes = onEveryThreadCount { task.run(bh_distillation_loss_f32) }
    for outcome in outcomes {
      #expect(outcome.result.loss.bitPattern == outcomes[0].result.loss.bitPattern)
      let same = sameBits(outcome.gradient, outcomes[0].gradient)
      #expect(same)
    }
  }

  @Test func `two classes by hand`() {
    // Teacher (1/2, 1/2), student (3/4, 1/4) at T = 1:
    // KL = 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3); cross-entropy of class 1 = ln 4.
    let logits: [Float] = [Float(log(3.0)), 0]
    var task = Task(student: logits, teacher: [5, 5], rows: 1, classes: 2, temperature: 1)
    var outcome = task.run(bh_distillation_loss_f32)
    #expect(near(outcome.result.loss, 0.5 * log(4.0 / 3), 1e-6))
    #expect(abs(outcome.gradient[0] - 0.25) < 1e-6 && abs(outcome.gradient[1] + 0.25) < 1e-6)
    task.alpha = 1
    task.teacher = nil
    task.labels = [1]
    outcome = task.run(bh_distillation_loss_f32)
    #expect(near(outcome.result.loss, log(4.0), 1e-6))
    #expect(abs(outcome.gradient[0] - 0.75) < 1e-6 && abs(outcome.gradient[1] + 0.75) < 1e-6)
  }

  @Test(arguments: [Float(1), 3.5])
  func `the gradient is that of the loss by central differences`(temperature: Float) {
    var task = Task(
      student: uniform(12, seed: 55, from: -2, to: 2),
      teacher: uniform(12, seed: 56, from: -2, to: 2), labels: [2, -100, 0],
      weights: [1, 0.5, 2], rows: 3, classes: 4, temperature: temperature, alpha: 0.4, scale: 0.5)
    let gradient = task.run(bh_distillation_loss_f32).gradient
    for i in 0..<12 {
      let (before, step) = (task.student[i], Float(1) / 256)
      task.student[i] = before + step
      let above = task.run(bh_distillation_loss_f32_scalar).result.loss
      task.student[i] = before - step
      let below = task.run(bh_distillation_loss_f32_scalar).result.loss
      task.student[i] = before
      #expect(near(Double(gradient[i]), (above - below) / (2 * Double(step)), 1e-4))
    }
  }

  @Test func `equal logits have no loss and extreme ones stay finite`() {
    let logits: [Float] = [1e4, -1e4, 0, 3]
    let same = Task(student: logits, teacher: logits, rows: 1, classes: 4, temperature: 1)
    #expect(same.run(bh_distillation_loss_f32).result.loss == 0)
    let masked = Task(
      student: [-.infinity, 1, 2], teacher: [-.infinity, 2, 1], rows: 1, classes: 3)
    let outcome = masked.run(bh_distillation_loss_f32)
    #expect(outcome.result.loss.isFinite && outcome.result.loss > 0)
    #expect(outcome.gradient[0] == 0)
  }

  @Test func `broken rules are refused and nothing is written`() {
    let good = Task(
      student: [1, 2], teacher: [1, 2], labels: [1], rows: 1, classes: 2, alpha: 0.5)
    var broken = [Task](repeating: good, count: 7)
    broken[0].teacher = nil
    broken[1].labels = nil
    broken[2].labels = [2]
    broken[3].labels = [-1]
    broken[4].temperature = 0
    broken[5].alpha = 1.5
    broken[6].temperature = .nan
    for task in broken {
      for kernel in [bh_distillation_loss_f32, bh_distillation_loss_f32_scalar] {
        let outcome = task.run(kernel)
        #expect(outcome.status == -1)
        #expect(outcome.gradient == [7, 7] && outcome.rowLosses == [7])
      }
    }
    let empty = Task(student: [], teacher: [], rows: 0, classes: 0).run(bh_distillation_loss_f32)
    #expect(empty.status == 0 && empty.result.loss == 0)
  }

  // Two units in the last place of the exponential, and float sums; -18 ... 0 for the logarithm.
  @Test(arguments: shapes)
  func `softmax and its logarithm agree with the references`(shape: (Int, Int)) {
    let (rows, classes) = (Int64(shape.0), Int64(shape.1))
    let x = uniform(shape.0 * shape.1, seed: 57, from: -30, to: 30)
    var slow = x
    var slowLog = x
    bh_softmax_f32_scalar(x, rows, classes, 2, &slow)
    bh_log_softmax_f32_scalar(x, rows, classes, 2, &slowLog)
    for (fast, fastLog) in onEveryConfiguration({
      var fast = x
      var fastLog = x
      bh_softmax_f32(x, rows, classes, 2, &fast)
      bh_log_softmax_f32(x, rows, classes, 2, &fastLog)
      return (fast, fastLog)
    }) {
      #expect(zip(fast, slow).allSatisfy { abs($0 - $1) <= 4e-6 * $1 })
      #expect(zip(fastLog, slowLog).allSatisfy { abs($0 - $1) <= 1e-5 })
    }
  }

  @Test func `softmax works in place`() {
    var x: [Float] = [0, 0, Float(log(2.0))]
    x.withUnsafeMutableBufferPointer { bh_softmax_f32($0.baseAddress, 1, 3, 1, $0.baseAddress) }
    #expect(zip(x, [0.25, 0.25, 0.5]).allSatisfy { abs($0 - $1) < 1e-6 })
  }
}
