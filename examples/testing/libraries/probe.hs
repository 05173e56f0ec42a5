{-# LANGUAGE CPP, OverloadedStrings #-}
-- hedis, for clients.py, which says what a line is: probe SOCKET
module Main (main) where

import Control.Exception (SomeException, try)
import Control.Monad (replicateM)
import qualified Data.ByteString.Char8 as B
import Database.Redis
import System.Environment (getArgs)
import System.IO
import System.Timeout (timeout)

shown :: Reply -> [B.ByteString]
shown (Error text) = ["!" <> text]
shown (SingleLine text) = ["$" <> text]
shown (Bulk text) = [maybe "_" ("$" <>) text]
shown (Integer number) = [":" <> B.pack (show number)]
shown (MultiBulk parts) = maybe ["_"] (\replies -> ["("] ++ concatMap shown replies ++ [")"]) parts

-- A pipeline: an answer is waited for where it is looked at.
answers :: Connection -> [[B.ByteString]] -> IO [Reply]
answers connection commands = do
    replies <- runRedis connection (mapM sendRequest commands)
    let known = map (either id id) replies
    -- Here, within the time-out.
    sum (map (B.length . B.concat . shown) known) `seq` return known

serve :: String -> Maybe Connection -> IO ()
serve path kept = do
    atEnd <- isEOF
    if atEnd then return () else do
        line <- B.getLine
        let wordsOf = B.split '\t'
        commands <- case wordsOf line of
            "call" : one -> return [one]
            _ : count : _ -> replicateM (maybe 0 fst (B.readInt count)) (wordsOf <$> B.getLine)
            _ -> return []
        connection <- case kept of
            Just connection -> return (Right connection)
            Nothing -> try (connect defaultConnectInfo { connectPort = UnixSocket path, connectMaxConnections = 1 })
        result <- case connection of
            Left failure -> return (Left failure)
            Right open -> try (timeout 2000000 (answers open commands) >>= maybe (fail "no answer in time") return)
        case result :: Either SomeException [Reply] of
            Right replies -> do
                mapM_ (B.putStrLn . B.map (\c -> if c == '\n' then ' ' else c) . B.intercalate "\t" . shown) replies
                serve path (either (const Nothing) Just connection)
            Left failure -> do
                B.putStrLn ("!" <> B.map (\c -> if c == '\n' then ' ' else c) (B.pack (show failure)))
                either (const (return ())) disconnect connection
                serve path Nothing

main :: IO ()
main = do
    hSetBuffering stdout LineBuffering
    [path] <- getArgs
    putStrLn VERSION_hedis
    serve path Nothing
