// @name@: a loss. Half the squared distance of student and teacher logits.
//
// Source: Ba and Caruana, Do Deep Nets Really Need to be Deep?, 2014, section 2.2, arXiv:1312.6184.
internal import BillhookPluginKit
public import BillhookSDK

final class SquaredDistance: LossHook {
  func compute(_ call: HostCall, _ io: bh_loss_io) throws(HookFailure) {
    guard let teacher = io.teacher?.pointee else {
      throw HookFailure(BH_E_INVALID_ARG, "there is no teacher to compare with")
    }
    let rows = io.student.pointee.sizes[0]
    let classes = io.student.pointee.sizes[1]
    let weights = io.sample_weight?.pointee.pointer(to: Float.self)
    let gradient = io.grad_student_out?.pointee.pointer(to: Float.self)
    var total = 0.0
    var weightSum = 0.0
    // A batch without samples has no elements to point at.
    let student = io.student.pointee.pointer(to: Float.self)
    let wanted = teacher.pointer(to: Float.self)
    for row in 0..<rows {
      let weight = weights.map { Double($0[row]) } ?? 1
      var sum = 0.0
      for index in row * classes..<(row + 1) * classes {
        let difference = Double(student![index]) - Double(wanted![index])
        sum += difference * difference / 2
        gradient?[index] = Float(weight * difference * io.grad_scale)
      }
      total += weight * sum
      weightSum += weight
    }
    // Sums, not means: the host divides.
    io.loss_sum_out.pointee = total
    io.weight_sum_out.pointee = weightSum
  }
}

/// The library's entry. Safety: the constant is made once and never freed.
@c(billhook_module_v1)
public func entry() -> UnsafePointer<bh_module> { module }

nonisolated(unsafe) private let module = declareModule(
  id: "org.example.@name@.module", version: "1.0.0", vendor: "Example", license: "0BSD",
  plugins: [
    .loss(
      id: "org.example.@name@", name: "@name@",
      summary: "Half the squared distance of the logits.",
      doc: "Every sample costs half the squared distance of its logits from the teacher's.",
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT, needs: BH_NEED_TEACHER,
      create: { call, values, out in createLoss(call, values, out) { _ in SquaredDistance() } })
  ])
