internal import BillhookPluginKit
internal import BillhookSDK

/// KL divergence with temperature, mixed with labelled cross-entropy. Has no state but its
/// parameters.
final class SoftTargetLoss: LossHook {
  private let temperature: Double
  private let alpha: Double

  init(temperature: Double, alpha: Double) {
    self.temperature = temperature
    self.alpha = alpha
  }

  func compute(_ call: HostCall, _ io: bh_loss_io) throws(HookFailure) {
    let student = io.student.pointee
    guard io.teacher != nil || alpha == 1 else {
      throw HookFailure(
        BH_E_INVALID_ARG,
        "there is no teacher, but alpha is \(alpha); give one, or set alpha to 1 for plain training"
      )
    }
    guard io.labels != nil || alpha == 0 else {
      throw HookFailure(
        BH_E_INVALID_ARG,
        "the data has no labels, but alpha is \(alpha); give labels, or set alpha to 0")
    }
    guard student.ndim == 2 else {
      throw HookFailure(
        BH_E_INVALID_ARG, "the logits have shape \(student.sizes) but must be [samples, classes]")
    }
    if let teacher = io.teacher, teacher.pointee.sizes != student.sizes {
      throw HookFailure(
        BH_E_INVALID_ARG,
        "student logits have shape \(student.sizes) but teacher logits have shape "
          + "\(teacher.pointee.sizes); both must be [samples, classes]")
    }

    var arguments = bh_soft_target()
    arguments.struct_size = UInt32(MemoryLayout<bh_soft_target>.size)
    arguments.rows = Int64(student.sizes[0])
    arguments.classes = Int64(student.sizes[1])
    arguments.student = UnsafePointer(student.pointer(to: Float.self))
    arguments.teacher = UnsafePointer(io.teacher?.pointee.pointer(to: Float.self))
    arguments.labels = UnsafePointer(io.labels?.pointee.pointer(to: Int32.self))
    arguments.sample_weight = UnsafePointer(io.sample_weight?.pointee.pointer(to: Float.self))
    arguments.temperature = temperature
    arguments.alpha = alpha
    arguments.grad_scale = io.grad_scale
    arguments.grad = io.grad_student_out?.pointee.pointer(to: Float.self)
    arguments.loss_sum = io.loss_sum_out
    arguments.weight_sum = io.weight_sum_out
    try call.check(try call.kernels().soft_target_loss(call.pointer, &arguments))
  }
}
