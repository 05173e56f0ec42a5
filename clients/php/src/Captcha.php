<?php
declare(strict_types=1);

namespace TokenCache;

/** A captcha, good for one attempt, right or wrong. */
final class Captcha
{
    /**
     * @param string $token goes into the page, and into the address of the picture
     * @param string $solution is for tests alone: it must never be sent to the visitor. The request for the picture asks
     *     Session::solutionOf
     */
    public function __construct(public readonly string $token, public readonly string $solution)
    {
    }

    /** The hidden field of the form; beside it stands the field `answer`. */
    public function field(): string
    {
        return '<input type="hidden" name="captcha" value="' . htmlspecialchars($this->token) . '">';
    }
}
