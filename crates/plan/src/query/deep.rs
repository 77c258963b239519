//! A stack as deep as a statement may nest, wherever a future is polled that walks one.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Stack for what nests as deep as a statement may. It costs what is used of it.
pub(crate) const STACK_BYTES: usize = 64 << 20;
/// With so much left no other stack is made.
const RED_ZONE_BYTES: usize = 32 << 20;

/// Runs on a deep stack.
pub(crate) fn deeply<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RED_ZONE_BYTES, STACK_BYTES, work)
}

/// Waits for what never waits: planning asks nobody outside.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A future that is polled on a deep stack.
pub(crate) async fn deep<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |context| deeply(|| future.as_mut().poll(context))).await
}
