<?php
declare(strict_types=1);

namespace TokenCache;

/**
 * The user has as many sessions as a user may have (`session.on-limit: refuse`), or was overtaken by that many logins. Offer to
 * end the others: Session::endOthers, then login again.
 */
final class LoginRefused extends NotAccepted
{
}
