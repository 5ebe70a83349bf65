//! One server for all tests of a process: that of `testkit run` where there is one, else one of the process's own.

use std::sync::OnceLock;

use anyhow::bail;

/// A server `S` at the address `A`, found or started when it is first needed. What went wrong then is told to
/// every test that needs it.
pub(crate) struct Shared<A, S>(OnceLock<Result<Found<A, S>, String>>);

struct Found<A, S> {
    address: A,
    /// Keeps the server alive; absent when `testkit run` owns it.
    _server: Option<S>,
}

impl<A, S> Shared<A, S> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Where it is: `given` tells of the server of `testkit run`, `launch` starts one.
    pub(crate) fn address(
        &self,
        given: impl FnOnce() -> anyhow::Result<Option<A>>,
        launch: impl FnOnce() -> anyhow::Result<(A, S)>,
    ) -> anyhow::Result<&A> {
        let find = || {
            Ok(match given()? {
                Some(address) => Found {
                    address,
                    _server: None,
                },
                None => {
                    let (address, server) = launch()?;
                    Found {
                        address,
                        _server: Some(server),
                    }
                }
            })
        };
        let found = self
            .0
            .get_or_init(|| find().map_err(|error: anyhow::Error| format!("{error:#}")));
        match found {
            Ok(found) => Ok(&found.address),
            Err(error) => bail!("{error}"),
        }
    }
}
