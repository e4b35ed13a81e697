//! Deliberate faults, for the proof that the tests would notice them. Outside of tests nothing is ever at fault.

#[cfg(test)]
thread_local! {
    static CURRENT: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// Runs `f` with one part of the design taken out, on this thread.
#[cfg(test)]
pub(crate) fn with<T>(name: &'static str, f: impl FnOnce() -> T) -> T {
    CURRENT.with(|current| current.set(name));
    let out = f();
    CURRENT.with(|current| current.set(""));
    out
}

/// Whether the part of that name is taken out.
#[inline]
pub(crate) fn without(_name: &str) -> bool {
    #[cfg(test)]
    return CURRENT.with(|current| current.get() == _name);
    #[cfg(not(test))]
    false
}
