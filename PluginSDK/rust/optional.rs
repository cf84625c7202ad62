// The part of billhook.rs behind the functions that a plugin may leave out.

unsafe extern "C" fn validate<T: Validated>(
    call: *mut bh_call, values: *const bh_value,
) -> Status {
    guarded(call, || T::validate(&Values(values)))
}

unsafe extern "C" fn reset<T: Stateful>(instance: *mut c_void, call: *mut bh_call) -> Status {
    guarded(call, || (*(instance as *const T)).reset(Call(call)))
}

unsafe extern "C" fn save<T: Stateful>(
    instance: *mut c_void, call: *mut bh_call, writer: *const bh_writer,
) -> Status {
    guarded(call, || (*(instance as *const T)).save(Call(call), &Writer(writer)))
}

unsafe extern "C" fn load<T: Stateful>(
    instance: *mut c_void, call: *mut bh_call, reader: *const bh_reader, version: u32,
) -> Status {
    guarded(call, || (*(instance as *const T)).load(Call(call), &Reader(reader), version))
}

unsafe extern "C" fn observe_layer<T: LayerObserver>(
    instance: *mut c_void, call: *mut bh_call, layer: *const bh_layer, input: *const bh_tensor,
    output: *const bh_tensor, output_gradient: *const bh_tensor,
) -> Status {
    guarded(call, || {
        (*(instance as *const T)).observe(
            Call(call), &*layer, input.as_ref(), output.as_ref(), output_gradient.as_ref(),
        )
    })
}

unsafe extern "C" fn merge<T: LayerObserver>(
    instance: *mut c_void, call: *mut bh_call, other: *const bh_reader,
) -> Status {
    guarded(call, || (*(instance as *const T)).merge(Call(call), &Reader(other)))
}

unsafe extern "C" fn observe_activation<T: ActivationObserver>(
    instance: *mut c_void, call: *mut bh_call, layer: *const bh_layer, x: *const bh_tensor,
) -> Status {
    guarded(call, || (*(instance as *const T)).observe(Call(call), &*layer, &*x))
}

unsafe extern "C" fn fake_quant<T: FakeQuantizer>(
    instance: *mut c_void, call: *mut bh_call, layer: *const bh_layer, layout: *const bh_qlayout,
    params: *const bh_qparams, x: *const bh_tensor, y: *const bh_tensor,
) -> Status {
    guarded(call, || {
        (*(instance as *const T)).fake_quant(Call(call), &*layer, &*layout, &*params, &*x, &*y)
    })
}

unsafe extern "C" fn fake_quant_grad<T: FakeQuantizer>(
    instance: *mut c_void, call: *mut bh_call, layer: *const bh_layer, layout: *const bh_qlayout,
    params: *const bh_qparams, x: *const bh_tensor, grad_y: *const bh_tensor,
    grad_x: *const bh_tensor,
) -> Status {
    guarded(call, || {
        (*(instance as *const T)).fake_quant_grad(
            Call(call), &*layer, &*layout, &*params, &*x, &*grad_y, &*grad_x,
        )
    })
}

impl<T: Validated> Plugin<T> {
    /// Lets the host check values against each other before it makes an instance.
    pub fn validated(mut self) -> Self { self.raw.validate = Some(validate::<T>); self }
}

impl<T: Stateful> Plugin<T> {
    /// Lets the host save and load what an instance saw; the version is that of what `save` writes.
    pub fn stateful(mut self, version: u32) -> Self {
        self.raw.state_version = version;
        self.raw.reset = Some(reset::<T>);
        self.raw.save = Some(save::<T>);
        self.raw.load = Some(load::<T>);
        self
    }
}

impl<T: LayerObserver> Plugin<T> {
    /// Lets the host call `observe` and `merge`; with `needs` of raw tensors, and `stateful`.
    pub fn observing_layers(self) -> Self {
        let table = unsafe { &mut *(self.raw.vtable as *mut bh_scorer) };
        table.observe = Some(observe_layer::<T>);
        table.merge = Some(merge::<T>);
        self
    }
}

impl<T: ActivationObserver> Plugin<T> {
    /// Lets the host call `observe`; with `stateful`.
    pub fn observing_activations(self) -> Self {
        let table = unsafe { &mut *(self.raw.vtable as *mut bh_quantizer) };
        table.observe = Some(observe_activation::<T>);
        self
    }
}

impl<T: FakeQuantizer> Plugin<T> {
    /// Lets networks be trained through the quantizer's own function and gradient.
    pub fn fake_quantizing(self) -> Self {
        let table = unsafe { &mut *(self.raw.vtable as *mut bh_quantizer) };
        table.fake_quant = Some(fake_quant::<T>);
        table.fake_quant_grad = Some(fake_quant_grad::<T>);
        self
    }
}
