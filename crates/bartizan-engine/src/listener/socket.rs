//! The bottom of the stack: a TCP or Unix socket, and the trait every layer above it speaks.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// A non-blocking byte stream that another layer can be stacked on.
pub trait ByteStream: Read + Write {
    /// Whether a read may give more without the socket becoming ready again.
    fn may_have_buffered(&self) -> bool;
    /// Whether bytes accepted by `write` still wait for the socket.
    fn wants_write(&self) -> bool;
    /// Whether the peer, having ended MQTT, has no more to say in this layer's words: nothing can come
    /// any more that a closed socket would answer with a reset.
    fn has_said_all(&self) -> bool {
        true
    }
    /// Says goodbye in the words of this layer and those below, as far as the socket takes them.
    fn farewell(&mut self) {}
    /// The same, and shuts the sending half.
    fn close(&mut self);
}

/// An accepted socket.
#[derive(Debug)]
pub enum Socket {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A Unix socket connection.
    Unix(UnixStream),
}

impl Socket {
    /// Closing it is a reset from now on, and what was not sent yet is thrown away.
    pub fn abort(&self) {
        // Of a Unix socket, the peer can read what was written, whatever becomes of this end.
        if let Self::Tcp(stream) = self {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        retry(|| match self {
            Self::Tcp(stream) => stream.read(buf),
            Self::Unix(stream) => stream.read(buf),
        })
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        retry(|| match self {
            Self::Tcp(stream) => stream.write(buf),
            Self::Unix(stream) => stream.write(buf),
        })
    }

    fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        retry(|| match self {
            Self::Tcp(stream) => stream.write_vectored(bufs),
            Self::Unix(stream) => stream.write_vectored(bufs),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ByteStream for Socket {
    fn may_have_buffered(&self) -> bool {
        false
    }

    fn wants_write(&self) -> bool {
        false
    }

    fn close(&mut self) {
        // Only the sending half: shutting both would reset the connection and could destroy the
        // DISCONNECT that is still on its way to the client.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, interests),
            Self::Unix(stream) => stream.register(registry, token, interests),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, interests),
            Self::Unix(stream) => stream.reregister(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        }
    }
}

/// A signal between two system calls is no event of the connection.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
