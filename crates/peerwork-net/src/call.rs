//! Passes a command to the event loop and waits for the answer, within the caller's deadline.

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::error::CallError;

/// Sends the command that `command` makes of the answer's sender, and waits for the answer.
///
/// # Errors
/// [`CallError::Stopped`] when the event loop ended before it answered, [`CallError::Deadline`] when the
/// deadline passed while the queue was full or the event loop had not answered.
pub(crate) async fn ask<C, T>(
    commands: &mpsc::Sender<C>,
    deadline: Instant,
    command: impl FnOnce(oneshot::Sender<T>) -> C,
) -> Result<T, CallError> {
    let (reply, answer) = oneshot::channel();
    let ask = async {
        let sent = commands.send(command(reply)).await;
        sent.map_err(|_| CallError::Stopped)?;
        answer.await.map_err(|_| CallError::Stopped)
    };
    timeout_at(deadline, ask)
        .await
        .unwrap_or(Err(CallError::Deadline))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Command = oneshot::Sender<u8>;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn a_call_waits_for_room_and_for_the_answer_until_its_deadline() {
        let (commands, mut queue) = mpsc::channel::<Command>(1);
        // The first command fills the queue and is not answered; the second finds no room.
        for _ in 0..2 {
            let deadline = Instant::now() + Duration::from_millis(5);
            let answer = ask(&commands, deadline, |reply| reply).await;
            assert_eq!(answer, Err(CallError::Deadline));
            assert!(Instant::now() >= deadline);
        }
        let (answer, ()) = tokio::join!(ask(&commands, soon(), |reply| reply), async {
            while let Some(reply) = queue.recv().await {
                if reply.send(7).is_ok() {
                    return;
                }
            }
        });
        assert_eq!(answer, Ok(7));
    }

    #[tokio::test]
    async fn a_call_ends_with_the_event_loop_before_and_after_its_command_is_taken() {
        let (commands, mut queue) = mpsc::channel::<Command>(1);
        let (answer, reply) = tokio::join!(ask(&commands, soon(), |reply| reply), async {
            queue.recv().await.map(drop)
        });
        assert_eq!((answer, reply), (Err(CallError::Stopped), Some(())));
        drop(queue);
        let past = Instant::now();
        assert_eq!(
            ask(&commands, past, |reply| reply).await,
            Err(CallError::Stopped)
        );
    }
}
