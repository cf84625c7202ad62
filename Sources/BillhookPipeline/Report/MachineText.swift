enum MachineText {
  static var instructionSet: String { "x86-64" }
}
