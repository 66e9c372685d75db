"""One file of a Hugging Face repository at a pinned revision, through the official client library.

The library honours ``HF_ENDPOINT``, ``HF_TOKEN`` and the rest of its own settings.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from harness.transfer import RETRIED_STATUS, TransferError, TransientError

_ADDRESS = re.compile(
    r"hf://(?P<kind>datasets|spaces|models)/(?P<repo>[^/@]+/[^/@]+)@(?P<revision>[^/@]+)/(?P<path>.+)"
)


class HubAddress(NamedTuple):
    """``hf://KIND/ORG/NAME@REVISION/path`` in its parts; ``kind`` as the library wants it."""

    kind: str
    repo: str
    revision: str
    path: str


def parse(url: str) -> HubAddress:
    """The parts of an address.

    Raises:
        TransferError: it is not of that form.
    """
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise TransferError(f"{url}: a hub address looks like hf://datasets/ORG/NAME@REVISION/path")
    return HubAddress(
        match["kind"].removesuffix("s"), match["repo"], match["revision"], match["path"]
    )


def download(url: str, part: Path) -> None:
    """Puts a hub file at ``part``. The library resumes its own unfinished files.

    Raises:
        TransientError: worth another attempt.
        TransferError: it is not, with what to do.
    """
    import httpx2
    from huggingface_hub import errors, hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    address = parse(url)
    disable_progress_bars()
    # Beside the target, so that the last step is a rename on one file system.
    scratch = part.with_name(f".{part.name}.hub")
    try:
        path = hf_hub_download(
            address.repo,
            address.path,
            repo_type=address.kind,
            revision=address.revision,
            local_dir=scratch,
        )
    except (
        errors.HfHubHTTPError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.HFValidationError,
        errors.XetDownloadError,
        httpx2.TransportError,
    ) as error:
        ours = _in_our_words(url, address, error)
        if isinstance(ours, TransferError):
            shutil.rmtree(scratch, ignore_errors=True)
        raise ours from error
    os.replace(path, part)
    shutil.rmtree(scratch, ignore_errors=True)


def _in_our_words(
    url: str, address: HubAddress, error: Exception
) -> TransferError | TransientError:
    import httpx2
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        # The library looked for the file on the hub first; what went wrong there is the cause.
        error = error.__cause__
    if isinstance(error, errors.GatedRepoError):
        page = f"https://huggingface.co/{address.kind}s/{address.repo}"
        return TransferError(
            f"{url}: its owner asks for acceptance; accept on {page}, run 'hf auth login', then "
            "fetch again"
        )
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        reason = f"the hub answers {status} for {url}"
        return TransientError(reason) if status in RETRIED_STATUS else TransferError(reason)
    if isinstance(error, (httpx2.TransportError, errors.XetDownloadError)):
        return TransientError(f"the hub cannot be reached ({error})", unreachable=True)
    return TransferError(f"{url}: {error}")
